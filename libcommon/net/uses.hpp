// Uses: counts who is inside something (a kernel operation on memory, say), so that its owner can wait until nobody
// is. The wait is not cancellable: memory may not go while the kernel writes into it.
//
// Threads  One Env's.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "libcommon/runtime/env.hpp"

namespace ff::net {

class Uses {
 public:
  class Drain;

  void begin() noexcept { ++count_; }
  void end() noexcept;
  bool busy() const noexcept { return count_ > 0; }

  // co_await uses.drain(env, grace, force): returns when nobody is inside. After `grace` it calls `force` once, which
  // must make those inside leave soon. Meanwhile nobody new may begin().
  Drain drain(runtime::Env& env, runtime::Duration grace, std::function<void()> force);

 private:
  std::size_t count_ = 0;
  runtime::IntrusiveList<runtime::Waiter, runtime::Waiter> drains_;
};

class Uses::Drain final : private runtime::Waiter, private runtime::Timer {
 public:
  Drain(Uses& uses, runtime::Env& env, runtime::Duration grace, std::function<void()> force)
      : uses_(uses), env_(env), grace_(grace), force_(std::move(force)) {}

  bool await_ready() const noexcept { return !uses_.busy(); }
  void await_suspend(std::coroutine_handle<> self) {
    suspend(self);
    uses_.drains_.push_back(*this);
    env_.arm(*this, runtime::saturating_add(env_.now(), grace_));
  }
  void await_resume() noexcept { disarm(); }

 private:
  friend class Uses;
  void expired() override { force_(); }

  Uses& uses_;
  runtime::Env& env_;
  runtime::Duration grace_;
  std::function<void()> force_;
};

inline Uses::Drain Uses::drain(runtime::Env& env, runtime::Duration grace, std::function<void()> force) {
  return Drain(*this, env, grace, std::move(force));
}

inline void Uses::end() noexcept {
  if (--count_ > 0) return;
  while (runtime::Waiter* waiter = drains_.pop_front()) {
    auto& drain = *static_cast<Drain*>(waiter);
    drain.env_.ready(drain);
  }
}

}  // namespace ff::net
