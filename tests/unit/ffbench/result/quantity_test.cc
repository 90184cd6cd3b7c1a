#include "ffbench/result/quantity.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace ff::bench {
namespace {

TEST(FormatQuantity, ShowsEachUnitAsPeopleReadIt) {
  EXPECT_EQ(format_quantity(12.5e9, "B/s"), "12.5GB/s");
  EXPECT_EQ(format_quantity(3200, "ns"), "3.2us");
  EXPECT_EQ(format_quantity(0.31, "ns"), "0.31ns");
  EXPECT_EQ(format_quantity(1'210'000, "1/s"), "1.21M/s");
  EXPECT_EQ(format_quantity(999.6, "1/s"), "1k/s");
  EXPECT_EQ(format_quantity(64 << 20, "B"), "64MiB");
  EXPECT_EQ(format_quantity(41.2e9, "FLOP/s"), "41.2GFLOP/s");
  EXPECT_EQ(format_quantity(0.98765, "ratio"), "0.9877");
  EXPECT_EQ(format_quantity(42, ""), "42");
  EXPECT_EQ(format_quantity(1.5, "W"), "1.5 W");
  EXPECT_EQ(format_quantity(-3200, "ns"), "-3.2us");
}

TEST(FormatQuantity, BearsAnyDouble) {
  EXPECT_EQ(format_quantity(std::nan(""), "ns"), "-");
  EXPECT_EQ(format_quantity(INFINITY, "B"), "-");
  for (const char* unit : {"B", "ns", "B/s", "1/s", "", "ratio"})
    for (const double value : {1e300, -1e300, 5e-324, 0.0}) EXPECT_FALSE(format_quantity(value, unit).empty());
}

TEST(FormatSpread, IsHalfTheWidthInPercent) {
  EXPECT_EQ(format_spread(100, {98, 102}), " ±2.0%");
  EXPECT_EQ(format_spread(100, {50, 100}), " ±25%");
  EXPECT_EQ(format_spread(100, {100, 100}), " ±0%");
  EXPECT_EQ(format_spread(100, {std::nan(""), std::nan("")}), "");
  EXPECT_EQ(format_spread(0, {-1, 1}), "");
}

}  // namespace
}  // namespace ff::bench
