// WaitQueue: where tasks wait for something that another task of the same Env will announce. Semaphore, Mutex, Event,
// Channel and everything like them are built on it. First come, first served.
//
// Errors   A wait ends with the error of its context's cancellation (kCancelled, kTimeout, ...) or that of fail_all().
//          A wait that was woken has been woken, even if its context is cancelled before it runs.
// Threads  One Env's.
#pragma once

#include <optional>
#include <utility>

#include "libcommon/runtime/env.hpp"

namespace ff::runtime {

class WaitQueue {
 public:
  class Wait;

  WaitQueue() = default;
  ~WaitQueue() = default;

  // co_await queue.wait() → Result<>.
  Wait wait() noexcept;
  // False when nobody waits.
  bool wake_one() noexcept;
  void wake_all() noexcept;
  void fail_all(const Error& why);
  bool empty() const noexcept { return waits_.empty(); }

 private:
  IntrusiveList<Waiter, Waiter> waits_;
};

class WaitQueue::Wait final : private Waiter, private CancelHook {
 public:
  explicit Wait(WaitQueue& queue) noexcept : queue_(queue) {}
  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    return begin(*self.promise().context, self);
  }
  Result<> await_resume() {
    if (error_) return std::unexpected(std::move(*error_));
    return {};
  }

 private:
  friend class WaitQueue;
  bool begin(Context& context, std::coroutine_handle<> handle);
  void wake() noexcept;
  void on_cancel(const Error& why) override;

  WaitQueue& queue_;
  Env* env_ = nullptr;
  std::optional<Error> error_;
};

inline WaitQueue::Wait WaitQueue::wait() noexcept { return Wait(*this); }

}  // namespace ff::runtime
