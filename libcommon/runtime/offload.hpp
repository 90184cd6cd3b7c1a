// OffloadPool: threads on which work may block. Started when first needed, joined when the pool goes.
//
// Bound    submit() refuses beyond `queue` waiting jobs. Jobs are links in their owners' frames, so that a queue costs
//          the pool no memory; file operations (Limit::kNone) are bounded by the tasks that wait for them.
// Threads  All calls from the reactor's. Jobs run on the pool's.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/mailbox.hpp"

namespace ff::runtime {

class OffloadJob : public Delivery {
 public:
  // On a thread of the pool. Delivered to the mailbox afterwards.
  virtual void run() noexcept = 0;

 protected:
  ~OffloadJob() = default;

 private:
  friend class OffloadPool;
  bool waiting_ = false;  // guarded by the pool's mutex
};

class OffloadPool {
 public:
  enum class Limit : std::uint8_t { kQueue, kNone };

  // REQUIRES: mailbox outlives the pool; threads > 0.
  OffloadPool(Mailbox& mailbox, std::uint32_t threads, std::uint32_t queue);
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;
  // REQUIRES: no job waits or runs.
  ~OffloadPool();

  // kExhausted: the queue is full, or no thread can be had.
  Result<> submit(OffloadJob& job, Limit limit);
  // Takes back a job that no thread has begun. False: it runs or has run.
  bool withdraw(OffloadJob& job);

 private:
  void work(std::stop_token stop);

  Mailbox& mailbox_;
  const std::uint32_t threads_max_;
  const std::uint32_t queue_max_;
  std::mutex mutex_;  // guards all below but threads_
  std::condition_variable_any has_work_;
  IntrusiveList<Delivery, Delivery> waiting_;
  std::uint32_t waiting_count_ = 0;
  std::uint32_t idle_ = 0;
  std::vector<std::jthread> threads_;
};

// co_await OffloadCall(env, pool, limit, work) → Result<>: why `work` did not run. Cancelled while it waits for a
// thread it does not run; once begun it is waited for.
class OffloadCall final : private OffloadJob, private Waiter, private CancelHook {
 public:
  OffloadCall(Env& env, OffloadPool& pool, OffloadPool::Limit limit, std::function<void()> work)
      : env_(env), pool_(pool), limit_(limit), work_(std::move(work)) {}
  ~OffloadCall();
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
  void run() noexcept override { work_(); }
  void delivered() override;
  void on_cancel(const Error& why) override;

  Env& env_;
  OffloadPool& pool_;
  OffloadPool::Limit limit_;
  std::function<void()> work_;
  bool submitted_ = false;
  std::optional<Error> error_;
};

}  // namespace ff::runtime
