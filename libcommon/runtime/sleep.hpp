// Waiting for time to pass, and letting others run.
#pragma once

#include "libcommon/runtime/env.hpp"

namespace ff::runtime {

// co_await sleep(1s), co_await sleep_until(t) → Result<>: an error when the context is cancelled meanwhile.
class Sleep final : private Waiter, private CancelHook, private Timer {
 public:
  Sleep(Duration wait, Time until) noexcept : wait_(wait), until_(until) {}
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
  bool begin(Context& context, std::coroutine_handle<> handle);
  void expired() override;
  void on_cancel(const Error& why) override;

  Duration wait_;
  Time until_;
  Env* env_ = nullptr;
  std::optional<Error> error_;
};

inline Sleep sleep(Duration wait) noexcept { return {wait, kNever}; }
inline Sleep sleep_until(Time until) noexcept { return {Duration::max(), until}; }

// co_await yield(): runs again after everything that is ready now. Never fails.
class Yield final : private Waiter {
 public:
  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  void await_suspend(std::coroutine_handle<Promise> self) noexcept {
    suspend(self);
    self.promise().context->env().ready(*this);
  }
  void await_resume() const noexcept {}
};
inline Yield yield() noexcept { return {}; }

// co_await not_cancelled() → Result<>: the error of the context if it has been cancelled. Does not wait: for operations
// that may succeed without waiting, so that in a cancelled context they fail like all others.
class NotCancelled {
 public:
  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
    context_ = self.promise().context;
    return false;
  }
  Result<> await_resume() const {
    if (context_->cancelled()) return std::unexpected(context_->why());
    return {};
  }

 private:
  const Context* context_ = nullptr;
};
inline NotCancelled not_cancelled() noexcept { return {}; }

}  // namespace ff::runtime
