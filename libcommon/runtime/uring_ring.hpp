// UringRing: one io_uring, set up as well as the kernel can, which says what is missing when it cannot.
// liburing's header stays in .cc files: it is old (2.3) and full of macros.
//
// Threads  create() on any; everything else on the one thread that called attach().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/runtime/time.hpp"

struct io_uring;
struct io_uring_buf_ring;
struct io_uring_sqe;

namespace ff::runtime {

// Gets the kernel's answer to one submission. The kernel knows its address: it must stay until completed() was called.
class UringCompletion {
 public:
  // `result` as of the system call, negative errno on failure; `flags` are the CQE's. Must not submit.
  virtual void completed(int result, std::uint32_t flags) = 0;

 protected:
  ~UringCompletion() = default;
};

class UringRing {
 public:
  // kUnsupported or kPermission with a message that names what is refused or missing, and the cure; kExhausted.
  static Result<std::unique_ptr<UringRing>> create(std::uint32_t entries);
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;
  // REQUIRES: nothing in flight that refers to memory which goes.
  ~UringRing();

  // Makes the calling thread the only one that submits. Again on the same thread after detach().
  void attach();
  void detach();

  // A submission to fill; submitted by the next enter(), or sooner (filled(), a full queue). `completion` null: the
  // answer is dropped.
  io_uring_sqe& prepare(UringCompletion* completion);
  // Tells that a submission of prepare() has been filled. Every few transfers to or from a file are submitted at once,
  // so that a disk works on them while the rest of a round is made ready; all else waits for enter().
  void filled(const io_uring_sqe& sqe);
  // Asks the kernel to end what `target` waits for. Its completed() is called in any case, now with -ECANCELED unless
  // it was faster.
  void cancel(UringCompletion& target);

  // Submits, then calls completed() of everything that has been answered. Sleeps until there is at least one answer or
  // `wait` has passed; 0: does not sleep; Duration::max(): no limit.
  void enter(Duration wait);

  // A ring of buffers from which the kernel takes one when data has come. `entries` is a power of two up to 32768.
  Result<> register_buffer_ring(std::byte* memory, std::uint32_t entries, std::uint16_t group);
  // A table of `slots` empty fixed buffers, and filling one of them.
  Result<> register_empty_buffers(std::uint32_t slots);
  Result<> set_buffer(std::uint32_t slot, std::span<std::byte> memory);

 private:
  struct Deleter {
    void operator()(io_uring* ring) const noexcept;
  };
  explicit UringRing(std::unique_ptr<io_uring, Deleter> ring) noexcept : ring_(std::move(ring)) {}
  void submit();
  void submit_transfers();
  void reap();

  std::unique_ptr<io_uring, Deleter> ring_;
  bool enabled_ = false;
  unsigned transfers_ = 0;  // filled and not yet submitted
};

}  // namespace ff::runtime
