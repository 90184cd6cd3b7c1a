// UringOperation: awaits one submission. The awaiting frame goes on only after the kernel has answered, also when its
// context is cancelled: until then the kernel may use the memory that the submission names.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/uring_ring.hpp"

namespace ff::runtime {

class UringOperationBase : private Waiter, private CancelHook, private UringCompletion {
 public:
  UringOperationBase(const UringOperationBase&) = delete;
  UringOperationBase& operator=(const UringOperationBase&) = delete;

  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    return begin(*self.promise().context, self);
  }
  // The kernel's answer (negative errno), or the error of the context when that ended or prevented the operation. What
  // was done in spite of a cancellation is an answer: a descriptor that was opened is not lost.
  Result<int> await_resume();
  // Of the answer.
  std::uint32_t flags() const noexcept { return flags_; }

 protected:
  explicit UringOperationBase(UringRing& ring) noexcept : ring_(ring) {}
  ~UringOperationBase();
  virtual void fill(io_uring_sqe& sqe) = 0;

 private:
  bool begin(Context& context, std::coroutine_handle<> handle);
  void completed(int result, std::uint32_t flags) override;
  void on_cancel(const Error& why) override;

  UringRing& ring_;
  Env* env_ = nullptr;
  bool in_flight_ = false;
  int result_ = 0;
  std::uint32_t flags_ = 0;
  std::optional<Error> error_;
};

// co_await UringOperation(ring, [&](io_uring_sqe& sqe) { io_uring_prep_...(&sqe, ...); }) → Result<int>.
template <class Fill>
class UringOperation final : public UringOperationBase {
 public:
  UringOperation(UringRing& ring, Fill fill) noexcept : UringOperationBase(ring), fill_(std::move(fill)) {}

 private:
  void fill(io_uring_sqe& sqe) override { fill_(sqe); }
  Fill fill_;
};

}  // namespace ff::runtime
