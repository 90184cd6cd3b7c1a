// Why receive() is not a multishot receive: that goes on taking buffers for a socket whose reader has paused, so that a
// few such sockets would starve all others of the shared buffers; and it saved nothing measurable over one submission a
// receive, which is part of a system call that is made anyway.
#include "libcommon/runtime/uring_socket.hpp"

#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/runtime/busy.hpp"
#include "libcommon/runtime/socket_error.hpp"
#include "libcommon/runtime/uring_operation.hpp"

namespace ff::runtime {

namespace {

constexpr std::size_t kOperationBytesMax = std::size_t{1} << 30;  // answers are ints
// What a large read waits for. With 256 KiB the bytes had left the caches before they were read: in three runs on
// loopback it moved 0.82 to 0.96 of what it does with this.
constexpr std::size_t kLowWaterBytes = 64u << 10;

}  // namespace

UringSocket::~UringSocket() { FF_ASSERT(!reading_ && !writing_, reading_, writing_); }

Task<Result<Received>> UringSocket::receive() {
  Busy busy(reading_);
  bool my_turn = false;  // we were woken for a buffer that has come back
  Defer pass_on([&] {
    if (my_turn) buffers_.pass_on();
  });
  for (;;) {
    UringOperation receive(ring_, [&](io_uring_sqe& sqe) {
      io_uring_prep_recv(&sqe, fd_.get(), nullptr, 0, my_turn ? MSG_DONTWAIT : 0);
      // A buffer is chosen before the kernel looks for data. Unless we know that there is some, look first: then
      // ENOBUFS means that we really need one.
      if (!more_waits_ && !my_turn) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
      sqe.flags |= IOSQE_BUFFER_SELECT;
      sqe.buf_group = UringReceiveBuffers::kGroup;
    });
    FF_CO_TRY_ASSIGN(const int result, co_await receive);
    std::optional<Received> received = buffers_.taken(receive.flags(), static_cast<std::size_t>(std::max(result, 0)));
    if (result >= 0) {
      more_waits_ = (receive.flags() & IORING_CQE_F_SOCK_NONEMPTY) != 0;
      if (received) my_turn = false;
      if (received && result > 0) co_return std::move(*received);
      co_return Received();
    }
    if (result == -ENOBUFS) {
      // That was so when the kernel looked; buffers may have come back before we were told.
      my_turn = false;
      if (buffers_.all_lent()) FF_CO_TRY(co_await buffers_.wait());
      my_turn = true;
    } else if (result == -EAGAIN) {
      if (std::exchange(my_turn, false)) buffers_.pass_on();
      more_waits_ = false;
    } else if (result != -EINTR) {
      co_return fail(socket_error("receive", -result));
    }
  }
}

Task<Result<>> UringSocket::read_exact(std::span<std::byte> into) {
  Busy busy(reading_);
  std::size_t got = 0;
  while (got < into.size()) {
    const std::size_t bytes = std::min(into.size() - got, kOperationBytesMax);
    const bool large = bytes >= kLowWaterBytes;
    set_low_water(large ? kLowWaterBytes : 1);
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       io_uring_prep_recv(&sqe, fd_.get(), into.data() + got, bytes, large ? 0 : MSG_WAITALL);
                       if (large) sqe.ioprio = IORING_RECVSEND_POLL_FIRST;
                     }));
    if (result == 0) co_return fail(early_end(got, into.size()));
    if (result < 0 && result != -EINTR && result != -EAGAIN) co_return fail(socket_error("receive", -result));
    if (result > 0) got += static_cast<std::size_t>(result);
  }
  co_return {};
}

// The kernel wakes a reader for every packet, many times for a segment of bulk. With a low-water mark it wakes
// when a good part is there, which the recv waits for (POLL_FIRST) instead of taking crumbs.
void UringSocket::set_low_water(std::size_t bytes) noexcept {
  const int wanted = static_cast<int>(bytes);
  if (wanted == low_water_) return;
  // Refused (not every kind of socket has one): then every packet wakes, as before.
  (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
  low_water_ = wanted;
}

Task<Result<>> UringSocket::write(std::span<const iovec> parts) {
  FF_CO_TRY(check_parts(parts));
  Busy busy(writing_);
  Unsent unsent(parts);
  while (!unsent.empty()) {
    msghdr message{};
    message.msg_iov = unsent.parts().data();
    message.msg_iovlen = unsent.parts().size();
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       io_uring_prep_sendmsg(&sqe, fd_.get(), &message, MSG_WAITALL | MSG_NOSIGNAL);
                     }));
    if (result < 0 && result != -EINTR && result != -EAGAIN) co_return fail(socket_error("send", -result));
    if (result > 0) unsent.advance(static_cast<std::size_t>(result));
  }
  co_return {};
}

void UringSocket::shutdown() noexcept { (void)::shutdown(fd_.get(), SHUT_RDWR); }

}  // namespace ff::runtime
