#include "libcommon/runtime/epoll_socket.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "libcommon/runtime/busy.hpp"
#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/socket_error.hpp"

namespace ff::runtime {

EpollReceiveBuffers::EpollReceiveBuffers(MappedMemory memory, std::uint32_t count, std::uint32_t bytes)
    : ReceiveBuffers(std::move(memory), count, bytes) {
  free_.reserve(count);  // so that giving back never allocates
  for (std::uint32_t i = count; i > 0; --i) free_.push_back(i - 1);
}

std::optional<std::uint32_t> EpollReceiveBuffers::take() noexcept {
  if (free_.empty()) return std::nullopt;
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

void EpollReceiveBuffers::put_back(std::uint32_t index) noexcept {
  free_.push_back(index);
  pass_on();
}

EpollSocket::~EpollSocket() { FF_ASSERT(!reading_ && !writing_, reading_, writing_); }

Task<Result<Received>> EpollSocket::receive() {
  FF_CO_TRY(co_await not_cancelled());
  Busy busy(reading_);
  for (;;) {
    const auto index = buffers_.take();
    if (!index) {
      FF_CO_TRY(co_await buffers_.wait());
      continue;
    }
    const auto memory = buffers_.buffer(*index);
    const ssize_t got = ::recv(fd_.get(), memory.data(), memory.size(), MSG_DONTWAIT);
    const int error = errno;
    if (got > 0) co_return buffers_.lend(*index, static_cast<std::size_t>(got));
    buffers_.put_back(*index);
    if (got == 0) co_return Received();
    if (error == EAGAIN) {
      FF_CO_TRY(co_await watch_.readable());
    } else if (error != EINTR) {
      co_return fail(socket_error("receive", error));
    }
  }
}

Task<Result<>> EpollSocket::read_exact(std::span<std::byte> into) {
  FF_CO_TRY(co_await not_cancelled());
  Busy busy(reading_);
  std::size_t got = 0;
  while (got < into.size()) {
    const ssize_t n = ::recv(fd_.get(), into.data() + got, into.size() - got, MSG_DONTWAIT);
    if (n > 0) {
      got += static_cast<std::size_t>(n);
    } else if (n == 0) {
      co_return fail(early_end(got, into.size()));
    } else if (errno == EAGAIN) {
      FF_CO_TRY(co_await watch_.readable());
    } else if (errno != EINTR) {
      co_return fail(socket_error("receive", errno));
    }
  }
  co_return {};
}

Task<Result<>> EpollSocket::write(std::span<const iovec> parts) {
  FF_CO_TRY(co_await not_cancelled());
  FF_CO_TRY(check_parts(parts));
  Busy busy(writing_);
  Unsent unsent(parts);
  while (!unsent.empty()) {
    msghdr message{};
    message.msg_iov = unsent.parts().data();
    message.msg_iovlen = unsent.parts().size();
    const ssize_t n = ::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      unsent.advance(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      FF_CO_TRY(co_await watch_.writable());
    } else if (errno != EINTR) {
      co_return fail(socket_error("send", errno));
    }
  }
  co_return {};
}

void EpollSocket::shutdown() noexcept { (void)::shutdown(fd_.get(), SHUT_RDWR); }

}  // namespace ff::runtime
