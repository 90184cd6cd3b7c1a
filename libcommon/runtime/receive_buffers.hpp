// ReceiveBuffers: the memory that an Env lends to whoever receives, and the line of those who wait for some of it.
// An idle socket holds none. The backends say how a buffer is taken.
//
// The line   give_back() wakes one waiter, who tries again and, if it then does not take a buffer (end of stream,
//            cancelled, no data), must pass_on(): else those behind it would wait beside a free buffer.
//
// Ownership  Outlives every Received.  Threads  the Env's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "libcommon/runtime/mapped_memory.hpp"
#include "libcommon/runtime/socket.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace ff::runtime {

class ReceiveBuffers : public Received::Lender {
 public:
  // `count` buffers of `bytes` each. kExhausted when there is no memory.
  static Result<MappedMemory> map(std::uint32_t count, std::uint32_t bytes) {
    return MappedMemory::map(std::size_t{count} * bytes);
  }
  ReceiveBuffers(MappedMemory memory, std::uint32_t count, std::uint32_t bytes) noexcept
      : memory_(std::move(memory)), count_(count), bytes_(bytes) {}
  // REQUIRES: all lent buffers are back.
  virtual ~ReceiveBuffers();

  std::span<std::byte> buffer(std::uint32_t index) noexcept {
    return memory_.span().subspan(std::size_t{index} * bytes_, bytes_);
  }
  std::uint32_t count() const noexcept { return count_; }
  // The first `bytes` of a buffer that was taken, to be given back.
  Received lend(std::uint32_t index, std::size_t bytes) noexcept;
  void give_back(std::uint32_t index) noexcept final;

  // REQUIRES of wait(): true now, or there may be nobody left who wakes the waiter.
  bool all_lent() const noexcept { return lent_ == count_; }
  // Until a buffer may be had; in the order of asking. Try again then: others may have been faster.
  WaitQueue::Wait wait() noexcept { return waiting_.wait(); }
  void pass_on() noexcept { waiting_.wake_one(); }

 protected:
  // A buffer can be used again.
  virtual void returned(std::uint32_t index) noexcept = 0;

 private:
  MappedMemory memory_;
  std::uint32_t count_;
  std::uint32_t bytes_;
  std::uint32_t lent_ = 0;
  WaitQueue waiting_;
};

}  // namespace ff::runtime
