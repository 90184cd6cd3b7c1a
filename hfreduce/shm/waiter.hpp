// Waiting on a 32-bit word in shared memory: spin, then yield, then sleep in the kernel (futex), never past a deadline.
//
// Flag      A word that counts up (wrapping) and the number of ranks asleep on it. One writer at a time; any readers.
// Wake-ups  post() stores the value and then loads `sleepers`; a sleeper adds itself to `sleepers` and then loads the
//           value. All four are sequentially consistent, so one of the two sees the other: without that, x86 may
//           pass the load before the store and the wake-up is lost.
// Sleeps    In slices of at most 20 ms, so that a verdict of the control plane and the deadline are seen while asleep.
// Killed    A sleeper that is killed leaves `sleepers` too high; that costs its peers one system call a post, no more.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "hfreduce/control/failure.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::hfreduce::shm {

struct Flag {
  std::atomic<std::uint32_t> value{0};
  std::atomic<std::uint32_t> sleepers{0};
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(Flag) == 8);

// Whether a counter has come to `target`, across the wrap at 2^32.
constexpr bool reached(std::uint32_t value, std::uint32_t target) noexcept {
  return static_cast<std::int32_t>(value - target) >= 0;
}
inline bool reached(const Flag& flag, std::uint32_t target) noexcept {
  return reached(flag.value.load(std::memory_order_acquire), target);
}

void wake_all(Flag& flag) noexcept;

// Publishes `value` with all that was written before it.
inline void post(Flag& flag, std::uint32_t value) noexcept {
  flag.value.store(value, std::memory_order_seq_cst);
  if (flag.sleepers.load(std::memory_order_seq_cst) != 0) [[unlikely]]
    wake_all(flag);
}

// Sleeps until the value has left `seen`, or a slice has passed. May return early.
void sleep_while(Flag& flag, std::uint32_t seen, std::chrono::nanoseconds slice) noexcept;
// Sleeps unless `target` is reached, for at most a slice. May return early.
void sleep_below(Flag& flag, std::uint32_t target, std::chrono::nanoseconds slice) noexcept;

// Sleeps like sleep_while for a caller that counts itself in `sleepers` already, from before its last look at the
// condition until after this returns.
void sleep_announced(Flag& flag, std::uint32_t seen, std::chrono::nanoseconds slice) noexcept;

// How long to spin and yield before sleeping.
struct WaitPolicy {
  std::uint32_t pauses = 30;         // at least
  std::chrono::nanoseconds spin{0};  // and at least this long
  std::uint32_t yields = 64;
  // Ranks that have a core each spin: a wake-up costs 30 us, a cache line 0.2 us. Where they share cores, the one
  // waited for needs ours: a few pauses, then give way.
  static WaitPolicy choose(int ranks, int cores) noexcept;
};

// One wait: call next() each time the condition was found false.
class Backoff {
 public:
  enum class Step { kAgain, kSleep, kFailed, kTimeout };
  static constexpr std::chrono::milliseconds kSliceMax{20};

  Backoff(const WaitPolicy& policy, const FailureSource& failure, const Deadline& deadline) noexcept
      : policy_(policy), failure_(failure), deadline_(deadline) {}

  // Pauses, yields, or says that it is time to sleep for slice(), or that the wait is over without success.
  Step next() noexcept;
  // The condition made progress: begin anew.
  void reset() noexcept { polls_ = yields_ = 0; }
  std::chrono::nanoseconds slice() const noexcept;

 private:
  Step look() const noexcept;

  const WaitPolicy& policy_;
  const FailureSource& failure_;
  const Deadline deadline_;
  std::uint32_t polls_ = 0;
  std::uint32_t yields_ = 0;
  Deadline::Clock::time_point spin_until_{};
};

}  // namespace ff::hfreduce::shm
