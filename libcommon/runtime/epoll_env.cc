#include "libcommon/runtime/epoll_env.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "libcommon/runtime/mailbox.hpp"
#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/socket_error.hpp"

namespace ff::runtime {

namespace {

Result<> make_non_blocking(int fd, std::string_view operation) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail(socket_error(operation, errno));
  if ((flags & O_NONBLOCK) != 0) return {};
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return fail(socket_error(operation, errno));
  return {};
}

}  // namespace

Result<std::unique_ptr<EpollEnv>> EpollEnv::create(const RealEnvOptions& options) {
  FF_TRY_ASSIGN(auto mailbox, Mailbox::create());
  FF_TRY_ASSIGN(auto poller, EpollPoller::create(mailbox->fd()));
  FF_TRY_ASSIGN(auto memory, ReceiveBuffers::map(options.receive_buffers, options.receive_buffer_bytes));
  return std::unique_ptr<EpollEnv>(new EpollEnv(options, std::move(mailbox), std::move(poller), std::move(memory)));
}

EpollEnv::EpollEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox, std::unique_ptr<EpollPoller> poller,
                   MappedMemory receive_memory)
    : RealEnv(options, std::move(mailbox)),
      poller_(std::move(poller)),
      receive_buffers_(std::move(receive_memory), options.receive_buffers, options.receive_buffer_bytes),
      disk_(*this, offload_pool()) {}

void EpollEnv::poll(Time until) {
  if (until == kPollOnly) return poller_->poll(Duration(0));
  if (until == kNever) return poller_->poll(Duration::max());
  poller_->poll(until - now());
}

std::unique_ptr<Socket> EpollEnv::adopt(UniqueFd fd) {
  return std::make_unique<EpollSocket>(*poller_, receive_buffers_, std::move(fd));
}

Task<Result<UniqueFd>> EpollEnv::accept(int listening_fd) {
  FF_CO_TRY(co_await not_cancelled());
  FF_CO_TRY(make_non_blocking(listening_fd, "accept"));
  EpollWatch watch(*poller_, listening_fd);
  for (;;) {
    UniqueFd fd(::accept4(listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) co_return fd;
    if (errno == EAGAIN) {
      FF_CO_TRY(co_await watch.readable());
    } else if (errno != ECONNABORTED && errno != EINTR) {
      co_return fail(socket_error("accept", errno));
    }
  }
}

Task<Result<>> EpollEnv::connect(int fd, const sockaddr_storage& to, socklen_t length) {
  FF_CO_TRY(co_await not_cancelled());
  FF_CO_TRY(make_non_blocking(fd, "connect"));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), length) == 0) co_return {};
  if (errno != EINPROGRESS) co_return fail(socket_error("connect", errno));
  EpollWatch watch(*poller_, fd);
  FF_CO_TRY(co_await watch.writable());
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) co_return fail(socket_error("connect", error));
  co_return {};
}

}  // namespace ff::runtime
