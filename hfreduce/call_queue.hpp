// CallQueue: runs the calls of a communicator one at a time in the order in which they were made. A blocking call on an
// idle queue runs on the caller's thread (no hand-over: the latency of a small all_reduce is below a microsecond);
// anything else is queued for the queue's own thread, which is started by the first queued call.
//
// Work     Does not throw; what it returns is the call's result.
// Bound    None on the number of queued calls: each is made by the caller, who sees it through its Request.
// Threads  All functions from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "hfreduce/communicator.hpp"

namespace ff::hfreduce {

struct Request::State {
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool collected = false;  // by a group that has not ended: nothing runs yet, so nobody may wait
  bool done = false;
  Result<> result;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;

  void queued();
  void finish(Result<> outcome, std::int64_t begin, std::int64_t end);
};

class CallQueue {
 public:
  using Work = std::function<Result<>()>;
  using States = std::vector<std::shared_ptr<Request::State>>;

  // Claims the queue if it is idle: then true, and the holder runs its work itself. Releases at the end of its life.
  class Claim {
   public:
    explicit Claim(CallQueue& queue) noexcept : queue_(queue.try_claim() ? &queue : nullptr) {}
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    ~Claim() {
      if (queue_ != nullptr) queue_->release();
    }
    explicit operator bool() const noexcept { return queue_ != nullptr; }

   private:
    CallQueue* queue_;
  };

  ~CallQueue();

  // Queues; every one of `states` finishes when the work has run. If it throws (memory, threads), nothing is queued.
  void push(Work work, States states);
  // Runs what is queued, then ends the thread. Every call has a deadline of its own, which bounds this. Nothing may be
  // pushed afterwards; a second stop() does nothing.
  void stop() noexcept;

 private:
  struct Item {
    Work work;
    States states;
  };
  bool try_claim() noexcept;
  void release() noexcept;
  void serve();

  std::atomic<bool> busy_{false};
  std::atomic<std::uint64_t> queued_{0};  // items in queue_ or running from it
  std::mutex mutex_;                      // guards what follows
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace ff::hfreduce
