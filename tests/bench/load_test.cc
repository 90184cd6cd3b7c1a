#include "tests/bench/load.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace ff::bench {
namespace {

using std::chrono::nanoseconds;

// The middle of a slot is at most half a slot away, and a slot is 1/128 of its power of two.
void expect_near(std::uint64_t got, double wanted) {
  EXPECT_NEAR(static_cast<double>(got), wanted, wanted * 0.01 + 0.5);
}

TEST(LatencyHistogram, IsZeroWhenEmpty) { EXPECT_EQ(LatencyHistogram().quantile_ns(0.5), 0U); }

TEST(LatencyHistogram, FindsQuantilesOfAnEvenSpread) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.record(nanoseconds(i * 10));
  EXPECT_EQ(histogram.count(), 100'000U);
  expect_near(histogram.quantile_ns(0.5), 500'000);
  expect_near(histogram.quantile_ns(0.99), 990'000);
  expect_near(histogram.quantile_ns(0.999), 999'000);
  expect_near(histogram.quantile_ns(1), 1'000'000);
}

// Two slow requests in a thousand lie beyond 99.8 %, and the next quantile shows them.
TEST(LatencyHistogram, KeepsOutliersApart) {
  LatencyHistogram histogram;
  for (int i = 0; i < 998; ++i) histogram.record(nanoseconds(100));
  histogram.record(nanoseconds(5'000'000'000));
  histogram.record(nanoseconds(5'000'000'000));
  expect_near(histogram.quantile_ns(0.998), 100);
  expect_near(histogram.quantile_ns(0.999), 5e9);
}

TEST(LatencyHistogram, IsPreciseOverItsWholeRange) {
  for (std::int64_t ns = 1; ns > 0 && ns < INT64_MAX / 3; ns *= 3) {
    LatencyHistogram histogram;
    histogram.record(nanoseconds(ns));
    expect_near(histogram.quantile_ns(0.5), static_cast<double>(ns));
  }
  LatencyHistogram histogram;
  histogram.record(nanoseconds(INT64_MAX));
  expect_near(histogram.quantile_ns(0.5), static_cast<double>(INT64_MAX));
}

TEST(LatencyHistogram, TakesAClockThatWentBackForZero) {
  LatencyHistogram histogram;
  histogram.record(nanoseconds(-5));
  EXPECT_EQ(histogram.quantile_ns(1), 0U);
}

TEST(LatencyHistogram, MergesAsIfRecordedInOne) {
  LatencyHistogram a;
  LatencyHistogram b;
  for (int i = 0; i < 3; ++i) a.record(nanoseconds(1000));
  for (int i = 0; i < 7; ++i) b.record(nanoseconds(9000));
  a.merge(b);
  EXPECT_EQ(a.count(), 10U);
  expect_near(a.quantile_ns(0.3), 1000);
  expect_near(a.quantile_ns(0.31), 9000);
}

}  // namespace
}  // namespace ff::bench
