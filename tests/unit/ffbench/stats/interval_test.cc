// The coverage of the interval is simulated: of 95 % intervals over data with a known median, how many hold it? With
// 1000 trials the figure is known to +-0.7 points (one standard deviation), so that 93 % is three of them below 95 %.
#include "ffbench/stats/interval.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ffbench/stats/summary.hpp"
#include "tests/unit/ffbench/stats/noise_models.hpp"

namespace ff::bench {
namespace {

constexpr int kTrials = 1000;

double coverage(NoiseModel model, std::size_t n) {
  Rng rng(20260101 + n);
  int held = 0;
  for (int i = 0; i < kTrials; ++i) held += median_interval(draw_samples(model, n, rng)).contains(100);
  return static_cast<double>(held) / kTrials;
}

class Coverage : public testing::TestWithParam<std::pair<NoiseModel, std::size_t>> {};

TEST_P(Coverage, IsWhatIsStated) {
  const double share = coverage(GetParam().first, GetParam().second);
  RecordProperty("coverage", std::to_string(share));
  EXPECT_GE(share, 0.93);
}

INSTANTIATE_TEST_SUITE_P(Noise, Coverage,
                         testing::Values(std::pair(NoiseModel::kNormal, 3), std::pair(NoiseModel::kNormal, 5),
                                         std::pair(NoiseModel::kNormal, 7), std::pair(NoiseModel::kNormal, 10),
                                         std::pair(NoiseModel::kNormal, 30), std::pair(NoiseModel::kLognormal, 5),
                                         std::pair(NoiseModel::kLognormal, 10), std::pair(NoiseModel::kDrift, 5),
                                         std::pair(NoiseModel::kDrift, 10)));

// At the default of 5 repeats even the difference of two whole runs stays within one run's half interval.
TEST(MedianInterval, TwoRunsDifferByLessThanItInNineOfTenPairs) {
  for (const NoiseModel model : {NoiseModel::kNormal, NoiseModel::kLognormal, NoiseModel::kDrift}) {
    Rng rng(77);
    int within = 0;
    for (int i = 0; i < kTrials; ++i) {
      const auto a = draw_samples(model, 5, rng), b = draw_samples(model, 5, rng);
      const Interval interval = median_interval(a);
      within += std::fabs(median(a) - median(b)) <= (interval.high - interval.low) / 2;
    }
    EXPECT_GE(within, kTrials * 9 / 10) << static_cast<int>(model);
  }
}

TEST(MedianInterval, HoldsTheMedianAndIsTheSameInAnyOrder) {
  const std::vector<double> samples{5, 1, 4, 2, 3}, sorted{1, 2, 3, 4, 5};
  const Interval a = median_interval(samples), b = median_interval(sorted);
  EXPECT_TRUE(a.contains(3));
  EXPECT_LT(a.low, a.high);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
}

TEST(MedianInterval, ScalesAndShiftsWithItsSamples) {
  Rng rng(5);
  const auto samples = draw_samples(NoiseModel::kNormal, 7, rng);
  auto scaled = samples;
  for (double& x : scaled) x = 4 * x + 1000;
  const Interval a = median_interval(samples), b = median_interval(scaled);
  EXPECT_NEAR(b.low, 4 * a.low + 1000, 1e-6);
  EXPECT_NEAR(b.high, 4 * a.high + 1000, 1e-6);
}

TEST(MedianInterval, IsWiderForMoreConfidence) {
  Rng rng(6);
  const auto samples = draw_samples(NoiseModel::kNormal, 5, rng);
  const Interval narrow = median_interval(samples, 0.8), wide = median_interval(samples, 0.99);
  EXPECT_LT(wide.low, narrow.low);
  EXPECT_GT(wide.high, narrow.high);
}

TEST(MedianInterval, OfFewAndOfEqualSamples) {
  EXPECT_TRUE(std::isnan(median_interval(std::vector<double>{}).low));
  EXPECT_TRUE(std::isnan(median_interval(std::vector<double>{3}).high));
  const Interval equal = median_interval(std::vector<double>{3, 3, 3});
  EXPECT_EQ(equal.low, 3);
  EXPECT_EQ(equal.high, 3);
}

TEST(MedianInterval, DoesNotFallBelowZeroForWhatCannot) {
  EXPECT_EQ(median_interval(std::vector<double>{1, 1000, 1}).low >= 0, true);
  EXPECT_EQ(median_interval(std::vector<double>{0, 5, 900}).low, 0);
  EXPECT_LT(median_interval(std::vector<double>{-1, 5, 900}).low, 0);
}

TEST(StudentQuantile, AgreesWithPrintedTables) {
  EXPECT_NEAR(student_quantile(0.975, 1), 12.7062, 1e-4);
  EXPECT_NEAR(student_quantile(0.975, 4), 2.77645, 1e-5);
  EXPECT_NEAR(student_quantile(0.975, 9), 2.26216, 1e-5);
  EXPECT_NEAR(student_quantile(0.95, 29), 1.69913, 1e-5);
  EXPECT_NEAR(student_quantile(0.995, 2), 9.92484, 1e-5);
  EXPECT_NEAR(student_quantile(0.975, 1e5), 1.95999, 1e-4);
  EXPECT_NEAR(student_quantile(0.025, 4), -2.77645, 1e-5);
  EXPECT_EQ(student_quantile(0.5, 3), 0);
}

}  // namespace
}  // namespace ff::bench
