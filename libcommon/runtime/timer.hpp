// Timer and TimerQueue: what should happen at a point in time of one Env.
//
// Ownership  A Timer belongs to whoever embeds it; destroyed, it is disarmed.
// Threads    Those of the Env: one.
// Cost       A binary heap: O(log n) to arm, disarm and expire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "libcommon/runtime/time.hpp"

namespace ff::runtime {

class TimerQueue;

class Timer {
 public:
  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

  bool armed() const noexcept { return queue_ != nullptr; }
  Time when() const noexcept { return when_; }
  void disarm() noexcept;

 protected:
  // Called once, disarmed already; may arm again.
  virtual void expired() = 0;

 private:
  friend class TimerQueue;
  TimerQueue* queue_ = nullptr;
  std::size_t index_ = 0;
  Time when_{};
  std::uint64_t order_ = 0;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  // REQUIRES: not armed.
  void arm(Timer& timer, Time when);
  // kNever when there is none.
  Time next() const noexcept { return heap_.empty() ? kNever : heap_.front()->when_; }
  // Expires all timers that are due at `now`, in the order of time, then of arming. Timers armed meanwhile wait for
  // the next call. Returns how many.
  std::size_t expire(Time now);
  std::size_t size() const noexcept { return heap_.size(); }

 private:
  friend class Timer;
  void remove(Timer& timer) noexcept;
  bool before(const Timer& a, const Timer& b) const noexcept {
    return a.when_ != b.when_ ? a.when_ < b.when_ : a.order_ < b.order_;
  }
  void place(std::size_t index, Timer* timer) noexcept {
    heap_[index] = timer;
    timer->index_ = index;
  }
  void sift_up(std::size_t index) noexcept;
  void sift_down(std::size_t index) noexcept;

  std::vector<Timer*> heap_;
  std::uint64_t next_order_ = 0;
};

}  // namespace ff::runtime
