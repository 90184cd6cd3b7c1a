#include "ffbench/net/loopback.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

using namespace std::chrono_literals;

TEST(Loopback, MeasuresSomethingBetweenAModemAndMemory) {
  const auto rate = measure_loopback_bandwidth(100ms, {});
  ASSERT_TRUE(rate) << rate.error().message();
  EXPECT_GT(*rate, 1e6);
  EXPECT_LT(*rate, 1e12);
}

TEST(Loopback, StopsWhenAskedAndRefusesNoTime) {
  std::stop_source stop;
  stop.request_stop();
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(measure_loopback_bandwidth(1h, stop.get_token()).error().code(), Errc::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  EXPECT_EQ(measure_loopback_bandwidth(0s, {}).error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::bench
