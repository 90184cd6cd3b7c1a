#include "ffbench/measure/clock.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

namespace ff::bench {
namespace {

TEST(Clock, AgreesWithTheSteadyClock) {
  ticks_to_ns(1);  // calibrates
  const auto steady_begin = std::chrono::steady_clock::now();
  const std::uint64_t begin = ticks_now();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::int64_t inside = ticks_to_ns(ticks_now() - begin);
  const auto outside = std::chrono::nanoseconds(std::chrono::steady_clock::now() - steady_begin).count();
  // Within it, and not by much: the two readings around are microseconds apart unless somebody else ran in between.
  EXPECT_GE(inside, 50'000'000 * 0.999);
  EXPECT_LE(inside, static_cast<double>(outside) * 1.001);
}

TEST(Clock, ConvertsBothWays) {
  for (const std::int64_t ns : {1'000'000LL, 1'000'000'000LL, 3'600'000'000'000LL})
    EXPECT_NEAR(static_cast<double>(ticks_to_ns(ns_to_ticks(ns))), static_cast<double>(ns),
                static_cast<double>(ns) * 1e-5);
  EXPECT_EQ(ns_to_ticks(-5), 0u);
  EXPECT_EQ(ticks_to_ns(0), 0);
}

TEST(Clock, IsMonotonicAndNamed) {
  std::uint64_t last = ticks_now();
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t now = ticks_now();
    ASSERT_GE(now, last);
    last = now;
  }
  const std::string name = clock_name();
  EXPECT_TRUE(name == "tsc" || name == "clock_monotonic") << name;
}

TEST(Clock, CostIsSmallAndStated) {
  RecordProperty("cost_ns", std::to_string(clock_cost_ns()));
  EXPECT_GT(clock_cost_ns(), 0.1);
  EXPECT_LT(clock_cost_ns(), 10'000);  // also under a sanitizer or where every reading is a system call
}

}  // namespace
}  // namespace ff::bench
