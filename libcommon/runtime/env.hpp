// Env: the only door to the world for everything that runs as tasks: clocks, timers, randomness, disk, network,
// blocking work. One Env is one reactor: one thread, one ready queue. Two families implement it: RealEnv (io_uring, or
// epoll where io_uring is forbidden) and the simulation's (libcommon/testing), where time is virtual and everything
// that can fail does.
//
// Ownership  Outlives all tasks, timers and objects that use it.
// Threads    All calls from the Env's own thread, except post().
// Rule       No code over an Env asks a clock, a random device, a socket or a file by itself. tools/dev/check_layers.py
//            keeps the headers of such things out of these folders.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "libcommon/base/rng.hpp"
#include "libcommon/runtime/list.hpp"
#include "libcommon/runtime/task.hpp"
#include "libcommon/runtime/time.hpp"
#include "libcommon/runtime/timer.hpp"

namespace ff::net {
class Network;
}

namespace ff::runtime {

class Disk;

// One suspended coroutine that something will make ready. Lives in the coroutine's frame; destroyed with it, it is
// forgotten everywhere. In one list at a time: that of what it waits for, or the Env's ready queue.
class Waiter : public ListHook<Waiter> {
 public:
  void suspend(std::coroutine_handle<> handle) noexcept { handle_ = handle; }
  void resume() { std::exchange(handle_, nullptr).resume(); }

 private:
  std::coroutine_handle<> handle_;
};

class Env {
 public:
  virtual ~Env() = default;
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;

  // Monotonic time of this node.
  virtual Time now() const noexcept = 0;
  // The node's idea of the date: may be wrong and may step. For people to read, never for protocols.
  virtual WallTime wall_now() const noexcept = 0;
  // Seeded from the kernel, or by the simulation. Not for keys: those come from the network layer's OpenSSL.
  Rng& rng() noexcept { return rng_; }
  // A number that no other Env of this process has.
  std::uint64_t id() const noexcept { return id_; }

  virtual Disk& disk() = 0;
  // REQUIRES: one was attached (a program does so at start; the simulation always has one).
  virtual net::Network& network() = 0;

  // Runs `work` on the Env's thread, soon. The only call that any thread may make. False: the Env has stopped.
  virtual bool post(std::function<void()> work) = 0;

  // Runs `work` on a thread where it may block, and returns when it has run. kExhausted when the pool's queue is full.
  // Once started it is not cancelled: `work` may refer to the frame that awaits it. In the simulation it runs at once.
  virtual Task<Result<>> offload(std::function<void()> work) = 0;

  // Makes a suspended coroutine run at the end of the ready queue. REQUIRES: waiter in no list.
  void ready(Waiter& waiter) noexcept { ready_.push_back(waiter); }
  void arm(Timer& timer, Time when) { timers_.arm(timer, when); }

 protected:
  Env(std::uint64_t id, std::uint64_t seed) noexcept : rng_(seed), id_(id) {}

  // For the loops of the implementations.
  IntrusiveList<Waiter, Waiter> ready_;
  TimerQueue timers_;

 private:
  Rng rng_;
  std::uint64_t id_;
};

// co_await offload(env, [..] { return compute(); }): the value of a blocking call, or why it did not run.
template <class F, class T = std::invoke_result_t<F&>>
Task<Result<T>> offload(Env& env, F work) {
  if constexpr (std::is_void_v<T>) {
    co_return co_await env.offload([&work] { work(); });
  } else {
    std::optional<T> value;
    FF_CO_TRY(co_await env.offload([&] { value.emplace(work()); }));
    co_return std::move(*value);
  }
}

}  // namespace ff::runtime
