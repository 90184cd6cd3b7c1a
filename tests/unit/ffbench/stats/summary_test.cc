#include "ffbench/stats/summary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace ff::bench {
namespace {

using Samples = std::vector<double>;

TEST(Summary, MedianOfOddAndEven) {
  EXPECT_EQ(median(Samples{3, 1, 2}), 2);
  EXPECT_EQ(median(Samples{4, 1, 3, 2}), 2.5);
  EXPECT_EQ(median(Samples{7}), 7);
  EXPECT_TRUE(std::isnan(median({})));
}

TEST(Summary, QuantileIsLinearBetweenOrderStatistics) {
  const Samples samples{40, 10, 30, 20};
  EXPECT_EQ(quantile(samples, 0), 10);
  EXPECT_EQ(quantile(samples, 1), 40);
  EXPECT_DOUBLE_EQ(quantile(samples, 0.25), 17.5);  // numpy.quantile([10, 20, 30, 40], 0.25)
  EXPECT_DOUBLE_EQ(quantile(samples, 0.9), 37);
}

TEST(Summary, LargestDoublesDoNotOverflow) {
  const double most = std::numeric_limits<double>::max();
  EXPECT_EQ(median(Samples{most, most}), most);
  EXPECT_EQ(mean(Samples{most, most}), most);
  EXPECT_EQ(median(Samples{-most, most}), 0);
}

TEST(Summary, DeviationMeansAndSpread) {
  EXPECT_EQ(median_absolute_deviation(Samples{1, 1, 2, 2, 4, 6, 9}), 1);  // the textbook example: median 2
  EXPECT_DOUBLE_EQ(geometric_mean(Samples{1, 10, 100}), 10);
  EXPECT_TRUE(std::isnan(geometric_mean(Samples{1, 0})));
  EXPECT_DOUBLE_EQ(mean(Samples{1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(relative_spread(Samples{90, 100, 110}), 0.2);
  EXPECT_EQ(relative_spread(Samples{5, 5}), 0);
  EXPECT_EQ(relative_spread(Samples{0, 0, 0}), 0);
  EXPECT_TRUE(std::isinf(relative_spread(Samples{0, 0, 1})));
}

}  // namespace
}  // namespace ff::bench
