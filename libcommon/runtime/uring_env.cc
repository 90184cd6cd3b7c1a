#include "libcommon/runtime/uring_env.hpp"

#include <liburing.h>

#include <cerrno>

#include "libcommon/base/assert.hpp"
#include "libcommon/runtime/mailbox.hpp"
#include "libcommon/runtime/socket_error.hpp"
#include "libcommon/runtime/uring_operation.hpp"
#include "libcommon/runtime/uring_socket.hpp"

namespace ff::runtime {

Result<std::unique_ptr<UringEnv>> UringEnv::create(const RealEnvOptions& options) {
  FF_TRY_ASSIGN(auto mailbox, Mailbox::create());
  FF_TRY_ASSIGN(auto ring, UringRing::create(options.queue_entries));
  FF_TRY_ASSIGN(auto buffers,
                UringReceiveBuffers::create(*ring, options.receive_buffers, options.receive_buffer_bytes));
  return std::unique_ptr<UringEnv>(new UringEnv(options, std::move(mailbox), std::move(ring), std::move(buffers)));
}

UringEnv::UringEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox, std::unique_ptr<UringRing> ring,
                   std::unique_ptr<UringReceiveBuffers> receive_buffers)
    : RealEnv(options, std::move(mailbox)),
      receive_buffers_(std::move(receive_buffers)),
      ring_(std::move(ring)),
      disk_(*ring_, *this, offload_pool(), options.registered_bytes) {}

UringEnv::~UringEnv() { FF_ASSERT(!watching_); }

void UringEnv::begin_run() {
  ring_->attach();
  watch_mailbox();
}

void UringEnv::end_run() {
  // The kernel must not write into this object once it may be gone.
  ring_->cancel(*this);
  while (watching_) ring_->enter(Duration::max());
  ring_->detach();
}

void UringEnv::poll(Time until) {
  if (!watching_) watch_mailbox();
  if (until == kPollOnly) return ring_->enter(Duration(0));
  if (until == kNever) return ring_->enter(Duration::max());
  ring_->enter(until - now());
}

void UringEnv::watch_mailbox() {
  io_uring_sqe& sqe = ring_->prepare(this);
  const auto user_data = sqe.user_data;
  io_uring_prep_read(&sqe, mailbox().fd(), &wakes_, sizeof wakes_, 0);
  sqe.user_data = user_data;
  watching_ = true;
}

void UringEnv::completed(int, std::uint32_t) { watching_ = false; }

std::unique_ptr<Socket> UringEnv::adopt(UniqueFd fd) {
  return std::make_unique<UringSocket>(*ring_, *receive_buffers_, std::move(fd));
}

Task<Result<UniqueFd>> UringEnv::accept(int listening_fd) {
  // One submission a connection. A multishot accept would keep the listening socket open, and take connections, after
  // its owner has closed the descriptor.
  for (;;) {
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(*ring_, [&](io_uring_sqe& sqe) {
                       io_uring_prep_accept(&sqe, listening_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
                     }));
    if (result >= 0) co_return UniqueFd(result);
    // The peer has gone already: the next, please.
    if (result != -ECONNABORTED && result != -EINTR && result != -EAGAIN) {
      co_return fail(socket_error("accept", -result));
    }
  }
}

Task<Result<>> UringEnv::connect(int fd, const sockaddr_storage& to, socklen_t length) {
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(*ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_connect(&sqe, fd, reinterpret_cast<const sockaddr*>(&to), length);
                   }));
  if (result < 0) co_return fail(socket_error("connect", -result));
  co_return {};
}

}  // namespace ff::runtime
