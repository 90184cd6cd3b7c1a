// VirtualEnv: the smallest Env for tests of code that runs over one: virtual time that jumps to the next timer when
// nothing is ready. No disk; the network is whatever a test attaches. For faults, use libcommon/testing.
//
// Threads  One, except post(). While a test expects posts from other threads it sets `wait_for_posts`: an idle Env then
//          waits for them in real time instead of jumping.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::tests {

class VirtualEnv final : public runtime::Env {
 public:
  explicit VirtualEnv(std::uint64_t seed = 1) : Env(next_id(), seed) {}

  runtime::Time now() const noexcept override { return now_; }
  runtime::WallTime wall_now() const noexcept override { return runtime::WallTime(now_.time_since_epoch()); }
  runtime::Disk& disk() override { assert_failed(__FILE__, __LINE__, "VirtualEnv has no disk", ""); }
  net::Network& network() override {
    FF_ASSERT(network_ != nullptr);
    return *network_;
  }
  void attach(net::Network& network) noexcept { network_ = &network; }
  bool post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    posts_.push_back(std::move(work));
    posted_.notify_one();
    return true;
  }
  runtime::Task<Result<>> offload(std::function<void()> work) override {
    work();
    co_return {};
  }

  std::atomic<bool> wait_for_posts = false;

  // Runs until `main` has ended. Aborts when nothing could ever happen any more.
  template <class T>
  T run(runtime::Task<T> main) {
    std::optional<T> value;
    runtime::Scope root(*this);
    root.spawn(runtime::detail::store(std::move(main), value));
    while (root.running() > 0) step();
    (void)root;
    return std::move(*value);
  }

 private:
  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last = 0;
    return (std::uint64_t{1} << 32) + ++last;
  }
  void step() {
    bool ran = run_posts();
    // One round: what becomes ready meanwhile comes after posts.
    runtime::IntrusiveList<runtime::Waiter, runtime::Waiter> round;
    round.splice_back(ready_);
    while (runtime::Waiter* waiter = round.pop_front()) {
      waiter->resume();
      ran = true;
    }
    if (ran) return;
    const runtime::Time next = timers_.next();
    if (wait_for_posts) {
      std::unique_lock lock(mutex_);
      posted_.wait_for(lock, std::chrono::milliseconds(1), [this] { return !posts_.empty(); });
      return;
    }
    FF_ASSERT(next != runtime::kNever);  // else it waits for what cannot come
    if (next > now_) now_ = next;
    timers_.expire(now_);
  }
  bool run_posts() {
    std::vector<std::function<void()>> posts;
    {
      const std::lock_guard lock(mutex_);
      posts.swap(posts_);
    }
    for (auto& post : posts) post();
    return !posts.empty();
  }

  runtime::Time now_{std::chrono::seconds(1000)};
  net::Network* network_ = nullptr;
  std::mutex mutex_;  // guards posts_
  std::condition_variable posted_;
  std::vector<std::function<void()>> posts_;
};

}  // namespace ff::tests
