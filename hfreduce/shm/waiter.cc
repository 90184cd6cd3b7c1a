#include "hfreduce/shm/waiter.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <ctime>

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint32_t kPollsPerClock = 32;  // reading the clock costs about as much as this many loads

void pause_cpu() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Not FUTEX_PRIVATE: the word is in memory that processes share.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) noexcept {
  return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

void futex_wait(Flag& flag, std::uint32_t seen, std::chrono::nanoseconds slice) noexcept {
  const auto ns = std::max<std::int64_t>(slice.count(), 1000);
  const timespec timeout{.tv_sec = static_cast<time_t>(ns / 1'000'000'000),
                         .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  futex(flag.value, FUTEX_WAIT, seen, &timeout);
}

}  // namespace

void wake_all(Flag& flag) noexcept { futex(flag.value, FUTEX_WAKE, INT_MAX, nullptr); }

void sleep_while(Flag& flag, std::uint32_t seen, std::chrono::nanoseconds slice) noexcept {
  flag.sleepers.fetch_add(1, std::memory_order_seq_cst);
  if (flag.value.load(std::memory_order_seq_cst) == seen) futex_wait(flag, seen, slice);
  flag.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

void sleep_announced(Flag& flag, std::uint32_t seen, std::chrono::nanoseconds slice) noexcept {
  futex_wait(flag, seen, slice);
}

void sleep_below(Flag& flag, std::uint32_t target, std::chrono::nanoseconds slice) noexcept {
  flag.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const std::uint32_t seen = flag.value.load(std::memory_order_seq_cst);
  if (!reached(seen, target)) futex_wait(flag, seen, slice);
  flag.sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

WaitPolicy WaitPolicy::choose(int ranks, int cores) noexcept {
  if (ranks <= cores) return {.pauses = 32, .spin = std::chrono::microseconds(50), .yields = 16};
  return {.pauses = 30, .spin = std::chrono::nanoseconds(0), .yields = 64};
}

Backoff::Step Backoff::look() const noexcept {
  if (failure_.failed()) return Step::kFailed;
  return deadline_.expired() ? Step::kTimeout : Step::kAgain;
}

Backoff::Step Backoff::next() noexcept {
  ++polls_;
  if (yields_ == 0) {
    if (polls_ == 1) spin_until_ = {};
    const bool look_now = polls_ % kPollsPerClock == 0;
    bool spinning = polls_ <= policy_.pauses;
    if (look_now && policy_.spin.count() > 0) {
      const auto now = Deadline::Clock::now();
      if (spin_until_ == Deadline::Clock::time_point{}) spin_until_ = now + policy_.spin;
      spinning = now < spin_until_;
      if (failure_.failed()) return Step::kFailed;
      if (now >= deadline_.when()) return Step::kTimeout;
    } else if (policy_.spin.count() > 0) {
      spinning = true;  // the clock decides at the next look
    }
    if (spinning) {
      // The kernel may have put the one waited for behind us on this core; a yield costs a third of a microsecond when
      // it has not, and the whole spin when it has and we do not.
      if (look_now)
        ::sched_yield();
      else
        pause_cpu();
      return Step::kAgain;
    }
  }
  if (yields_ < policy_.yields) {
    ++yields_;
    ::sched_yield();
    return yields_ % 8 == 0 ? look() : Step::kAgain;
  }
  const Step seen = look();
  return seen == Step::kAgain ? Step::kSleep : seen;
}

std::chrono::nanoseconds Backoff::slice() const noexcept {
  return std::min<std::chrono::nanoseconds>(kSliceMax, deadline_.remaining());
}

}  // namespace ff::hfreduce::shm
