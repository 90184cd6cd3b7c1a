// Deadline: a point in steady time. Every wait in the tree takes one, so that nothing hangs.
// Monotonic; unaffected by changes of the wall clock. A value type, safe to copy between threads.
#pragma once

#include <algorithm>
#include <chrono>

namespace ff {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(Clock::time_point when) noexcept : when_(when) {}
  // Saturates: a huge duration gives a deadline that does not pass, instead of an overflow.
  static Deadline after(std::chrono::nanoseconds wait) noexcept {
    auto now = Clock::now();
    return Deadline(wait > Clock::time_point::max() - now ? Clock::time_point::max() : now + wait);
  }

  Clock::time_point when() const noexcept { return when_; }
  bool expired() const noexcept { return Clock::now() >= when_; }
  // Zero when it has passed.
  std::chrono::nanoseconds remaining() const noexcept {
    return std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(when_ - Clock::now()));
  }
  // For poll(2): rounded up, so that a wait never ends just before the deadline and spins; at most `cap_ms`.
  int poll_timeout_ms(int cap_ms) const noexcept {
    auto ms = std::chrono::ceil<std::chrono::milliseconds>(remaining()).count();
    return static_cast<int>(std::min<long long>(ms, cap_ms));
  }
  Deadline earlier(Deadline other) const noexcept { return Deadline(std::min(when_, other.when_)); }

 private:
  Clock::time_point when_;
};

}  // namespace ff
