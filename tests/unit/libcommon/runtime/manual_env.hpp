// ManualEnv: an Env of virtual time and nothing else, for tests of tasks and what they wait for.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "libcommon/runtime/scope.hpp"

namespace ff::runtime {

using namespace std::chrono_literals;

class ManualEnv final : public Env {
 public:
  ManualEnv() : Env(1, 1) {}
  Time now() const noexcept override { return now_; }
  WallTime wall_now() const noexcept override { return {}; }
  Disk& disk() override { std::abort(); }
  net::Network& network() override { std::abort(); }
  bool post(std::function<void()>) override { return false; }
  Task<Result<>> offload(std::function<void()> work) override {
    work();
    co_return {};
  }

  // Until nothing is ready; time stands still.
  void settle() {
    while (Waiter* waiter = ready_.pop_front()) waiter->resume();
  }
  // A simulation runs what is ready in any order.
  void run_oldest() {
    if (Waiter* waiter = ready_.pop_front()) waiter->resume();
  }
  void settle_newest_first() {
    while (!ready_.empty()) {
      Waiter& newest = ready_.back();
      newest.unlink();
      newest.resume();
    }
  }
  void advance(Duration by) {
    const Time end = now_ + by;
    settle();
    while (timers_.next() <= end) {
      now_ = timers_.next();
      timers_.expire(now_);
      settle();
    }
    now_ = end;
  }
  // Runs to the end, time flying. A task that waits for what never comes fails the test.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> value;
    Scope root(*this);
    root.spawn(detail::store(std::move(task), value));
    settle();
    while (root.running() > 0 && timers_.next() != kNever) {
      now_ = std::max(now_, timers_.next());
      timers_.expire(now_);
      settle();
    }
    if (root.running() > 0) {
      ADD_FAILURE() << "the task waits for ever";
      std::abort();
    }
    return std::move(*value);
  }

 private:
  Time now_ = Time(std::chrono::hours(1));
};

inline Task<Result<int>> later(Duration wait, int value) {
  FF_CO_TRY(co_await sleep(wait));
  co_return value;
}

inline Task<Result<int>> fail_later(Duration wait, Errc code, std::string message) {
  FF_CO_TRY(co_await sleep(wait));
  co_return fail(code, std::move(message));
}

template <class T>
Errc code_of(const Result<T>& result) {
  if (result) {
    ADD_FAILURE() << "expected an error";
    return Errc::kInternal;
  }
  return result.error().code();
}

}  // namespace ff::runtime
