#include "ffbench/stats/outlier.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

std::vector<std::size_t> outliers_of(const std::vector<double>& values, OutlierOptions options = {}) {
  std::vector<std::size_t> found;
  const auto scores = score_outliers(values, options);
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (scores[i].outlier) found.push_back(i);
  return found;
}

using Found = std::vector<std::size_t>;

TEST(ScoreOutliers, ScoreIsTheDistanceInRobustDeviations) {
  // Median 10, distances 0 1 1 2 90, MAD 1.
  const auto scores = score_outliers(std::vector<double>{10, 9, 11, 12, 100});
  EXPECT_DOUBLE_EQ(scores[4].score, (100 - 11) / 1.4826);
  EXPECT_TRUE(scores[4].outlier);
  EXPECT_FALSE(scores[1].outlier);
  EXPECT_LT(scores[1].score, 0);
}

TEST(ScoreOutliers, OneSlowNodeAmongEqualOnes) {
  EXPECT_EQ(outliers_of({100, 100, 100, 100, 100, 60}), Found{5});
  // A tenth of a percent is no fault, although the MAD is 0.
  EXPECT_EQ(outliers_of({100, 100, 100, 100, 100, 99.9}), Found{});
}

TEST(ScoreOutliers, AlmostHalfOfTheNodesMayBeBad) {
  EXPECT_EQ(outliers_of({100, 101, 99, 100, 101, 20, 21, 22, 20}), (Found{5, 6, 7, 8}));
}

TEST(ScoreOutliers, FewNodesAreNotJudged) {
  EXPECT_EQ(outliers_of({100, 100, 1}), Found{});
  EXPECT_EQ(outliers_of({100, 100, 100, 1}), Found{3});
  EXPECT_EQ(outliers_of({100, 100, 1}, {.count_min = 3}), Found{2});
  EXPECT_TRUE(score_outliers({}).empty());
}

TEST(ScoreOutliers, OnlyTheBadSideWhereOneIsGiven) {
  const std::vector<double> values{100, 101, 99, 100, 40, 160};
  EXPECT_EQ(outliers_of(values), (Found{4, 5}));
  EXPECT_EQ(outliers_of(values, {.better = Better::kHigher}), Found{4});
  EXPECT_EQ(outliers_of(values, {.better = Better::kLower}), Found{5});
}

TEST(ScoreOutliers, ZeroEverywhereButOnce) {
  const auto scores = score_outliers(std::vector<double>{0, 0, 0, 0, 3});
  EXPECT_TRUE(scores[4].outlier);
  EXPECT_TRUE(std::isinf(scores[4].score));
  EXPECT_EQ(scores[0].score, 0);
}

TEST(ScoreOutliers, NormalNoiseHasFew) {
  Rng rng(11);
  std::size_t found = 0;
  for (int i = 0; i < 100; ++i) {
    std::vector<double> values;
    for (int k = 0; k < 64; ++k) values.push_back(100 + 2 * rng.normal());
    found += outliers_of(values).size();
  }
  // Beyond 3.5 deviations lie 5 of 10,000 values; the MAD of 64 is known to some 10 %, which makes it a few more.
  EXPECT_LE(found, 20u);
}

}  // namespace
}  // namespace ff::bench
