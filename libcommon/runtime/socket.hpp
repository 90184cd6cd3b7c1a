// Socket: a connected stream socket served by a RealEnv's reactor. Only transports use it (the simulation has none):
// everything above speaks net::Connection.
//
// Use       A socket is read either by receive() or by read_exact(), never by both: receive() takes whatever has
//           arrived into memory that the reactor lends (so that ten thousand idle connections hold none), read_exact()
//           lets the kernel place bytes where they belong, without a copy in user space.
// Tasks     One reader and one writer at a time.
// Errors    kUnavailable when the peer has closed, reset or vanished (also by the kernel's own timeout), kIo otherwise,
//           or that of the context's cancellation; after a cancelled write or read_exact() nobody knows how much was
//           sent or taken: close the socket. A cancelled receive() loses nothing.
// Owner     Memory given stays until the task ended; a cancelled operation ends when the kernel has let go of it.
// Threads   Those of the RealEnv.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <span>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/task.hpp"

namespace ff::runtime {

// Bytes in memory lent by the reactor; given back when it goes. Empty: the peer has finished sending.
class Received {
 public:
  class Lender {
   public:
    virtual void give_back(std::uint32_t buffer) noexcept = 0;

   protected:
    ~Lender() = default;
  };

  Received() noexcept = default;
  Received(Lender& lender, std::uint32_t buffer, std::span<std::byte> bytes) noexcept
      : lender_(&lender), buffer_(buffer), bytes_(bytes) {}
  Received(Received&& other) noexcept
      : lender_(std::exchange(other.lender_, nullptr)), buffer_(other.buffer_), bytes_(other.bytes_) {}
  Received& operator=(Received&& other) noexcept {
    std::swap(lender_, other.lender_);
    std::swap(buffer_, other.buffer_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Received() {
    if (lender_ != nullptr) lender_->give_back(buffer_);
  }
  std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  Lender* lender_ = nullptr;
  std::uint32_t buffer_ = 0;
  std::span<std::byte> bytes_;
};

class Socket {
 public:
  // Closes. REQUIRES: no operation runs (cancel and join first).
  virtual ~Socket() = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  virtual Task<Result<Received>> receive() = 0;
  // Fills `into`. End of stream before that: kUnavailable.
  virtual Task<Result<>> read_exact(std::span<std::byte> into) = 0;
  // Sends all of `parts` (up to 1024), without a copy in user space. The kernel copies: its zero-copy sends lost at
  // every size where they could be measured (loopback, which copies anyway and adds a notification).
  virtual Task<Result<>> write(std::span<const iovec> parts) = 0;
  // Both directions; running operations end.
  virtual void shutdown() noexcept = 0;
  virtual int fd() const noexcept = 0;

 protected:
  Socket() = default;
};

}  // namespace ff::runtime
