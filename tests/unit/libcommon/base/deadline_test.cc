#include "libcommon/base/deadline.hpp"

#include <gtest/gtest.h>

namespace ff {
namespace {

using namespace std::chrono_literals;

TEST(Deadline, SaturatesInsteadOfOverflowing) {
  const Deadline never = Deadline::after(std::chrono::nanoseconds::max());
  EXPECT_EQ(never.when(), Deadline::Clock::time_point::max());
  EXPECT_FALSE(never.expired());
  EXPECT_EQ(never.poll_timeout_ms(5000), 5000);
}

TEST(Deadline, HasPassedAtOnceForZeroAndNegativeWaits) {
  EXPECT_TRUE(Deadline::after(0ns).expired());
  const Deadline past = Deadline::after(-1h);
  EXPECT_TRUE(past.expired());
  EXPECT_EQ(past.remaining(), 0ns);
  EXPECT_EQ(past.poll_timeout_ms(5000), 0);
}

TEST(Deadline, CountsDown) {
  const Deadline soon = Deadline::after(1h);
  EXPECT_LE(soon.remaining(), 1h);
  EXPECT_GT(soon.remaining(), 59min);
  EXPECT_FALSE(soon.expired());
}

// A poll of 0 ms before the deadline would spin.
TEST(Deadline, PollTimeoutRoundsUp) {
  const Deadline soon(Deadline::Clock::now() + 50ms + 1us);
  const int ms = soon.poll_timeout_ms(1000);
  EXPECT_GE(ms, 1);
  EXPECT_LE(ms, 51);
  EXPECT_EQ(Deadline::after(1h).poll_timeout_ms(250), 250);
}

TEST(Deadline, EarlierIsTheFirstOfTwo) {
  const auto now = Deadline::Clock::now();
  EXPECT_EQ(Deadline(now).earlier(Deadline(now + 1s)).when(), now);
  EXPECT_EQ(Deadline(now + 1s).earlier(Deadline(now)).when(), now);
}

}  // namespace
}  // namespace ff
