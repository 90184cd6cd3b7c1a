#include "ffbench/stats/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/unit/ffbench/stats/noise_models.hpp"

namespace ff::bench {
namespace {

using Samples = std::vector<double>;
constexpr int kTrials = 500;

bool differs(const Comparison& c) { return c.verdict != Verdict::kSame && c.verdict != Verdict::kUnknown; }

std::vector<double> times(std::vector<double> samples, double factor) {
  for (double& x : samples) x *= factor;
  return samples;
}

TEST(CompareSamples, SeldomCallsTwoRunsOfOneMachineDifferent) {
  for (const std::size_t n : {3, 5, 10})
    for (const NoiseModel model : {NoiseModel::kNormal, NoiseModel::kLognormal, NoiseModel::kDrift}) {
      Rng rng(100 + n);
      int different = 0;
      for (int i = 0; i < kTrials; ++i) {
        const auto a = draw_samples(model, n, rng), b = draw_samples(model, n, rng);
        different += differs(compare_samples(a, b, {.threshold = 0}));
      }
      EXPECT_LE(different, kTrials / 10) << "n=" << n << " model=" << static_cast<int>(model);
    }
}

// The error of a ratio of medians of five is 0.76 times that of one round: with 1 % of noise the interval reaches some
// +-2 %, well within the tolerance; with 50 % it spans a factor of two.
TEST(CompareSamples, TheSameNeedsRoundsQuietEnoughToSeeADifference) {
  Rng rng(150);
  int quiet = 0, noisy = 0;
  for (int i = 0; i < kTrials; ++i) {
    const auto a = draw_samples(NoiseModel::kNormal, 5, rng), b = draw_samples(NoiseModel::kNormal, 5, rng);
    quiet += compare_samples(a, b, {}).verdict == Verdict::kSame;
    const auto c = draw_samples(NoiseModel::kLognormal, 5, rng), d = draw_samples(NoiseModel::kLognormal, 5, rng);
    noisy += compare_samples(c, d, {}).verdict == Verdict::kSame;
  }
  EXPECT_GE(quiet, kTrials * 9 / 10);
  EXPECT_LE(noisy, kTrials / 50);
}

// The risk that an equivalence test bounds: a difference as large as the tolerance passes for none.
TEST(CompareSamples, SeldomCallsADifferenceOfTheToleranceTheSame) {
  for (const std::size_t n : {3, 5, 10})
    for (const NoiseModel model : {NoiseModel::kNormal, NoiseModel::kLognormal})
      for (const double ratio : {0.95, 1.05}) {
        Rng rng(160 + n);
        int same = 0;
        for (int i = 0; i < kTrials; ++i) {
          const auto a = draw_samples(model, n, rng), b = times(draw_samples(model, n, rng), ratio);
          same += compare_samples(a, b, {.threshold = 0, .tolerance = 0.05}).verdict == Verdict::kSame;
        }
        EXPECT_LE(same, kTrials / 20) << "n=" << n << " model=" << static_cast<int>(model) << " ratio=" << ratio;
      }
}

// A median 15 % lower under rounds that differ by a factor of two: neither the same nor worse.
TEST(CompareSamples, AWideIntervalAroundOneIsUnknown) {
  const Samples base{60, 80, 100, 120, 140}, current{45, 65, 85, 105, 125};
  const Comparison c = compare_samples(base, current, {});
  EXPECT_DOUBLE_EQ(c.ratio, 0.85);
  EXPECT_TRUE(c.ratio_interval.contains(1) && c.ratio_interval.low < 0.7) << c.ratio_interval.low;
  EXPECT_EQ(c.verdict, Verdict::kUnknown);
  EXPECT_EQ(c.doubt, Doubt::kNoisy);
}

// Equal medians and an interval of some +-2 %: the tolerance alone decides.
TEST(CompareSamples, TheToleranceIsTheBandOfTheSame) {
  const Samples samples{99, 99.5, 100, 100.5, 101};
  const Comparison c = compare_samples(samples, samples, {.tolerance = 0.05});
  ASSERT_GT(c.ratio_interval.low, 0.95);
  ASSERT_LT(c.ratio_interval.low, 0.995);
  EXPECT_EQ(c.verdict, Verdict::kSame);
  EXPECT_EQ(c.doubt, Doubt::kNone);
  EXPECT_EQ(compare_samples(samples, samples, {.threshold = 0, .tolerance = 0.005}).verdict, Verdict::kUnknown);
  // A threshold wider than the tolerance is the band.
  EXPECT_EQ(compare_samples(samples, samples, {.threshold = 0.05, .tolerance = 0}).verdict, Verdict::kSame);
}

// An interval that excludes 1 is a difference, also within the tolerance.
TEST(CompareSamples, TheToleranceHidesNoDifference) {
  const Samples base{1000, 1000.1, 999.9, 1000, 1000};
  EXPECT_EQ(compare_samples(base, times(base, 0.97), {.tolerance = 0.05}).verdict, Verdict::kWorse);
  EXPECT_EQ(compare_samples(base, times(base, 1.03), {.tolerance = 0.05}).verdict, Verdict::kBetter);
}

TEST(CompareSamples, FindsFivePercentUnderOnePercentOfNoise) {
  Rng rng(200);
  int found = 0;
  for (int i = 0; i < kTrials; ++i) {
    const auto a = draw_samples(NoiseModel::kNormal, 5, rng);
    const auto b = times(draw_samples(NoiseModel::kNormal, 5, rng), 0.95);
    found += compare_samples(a, b, {}).verdict == Verdict::kWorse;
  }
  EXPECT_GE(found, kTrials * 9 / 10);
}

TEST(CompareSamples, IntervalHoldsTheTrueRatio) {
  Rng rng(300);
  int held = 0;
  for (int i = 0; i < kTrials; ++i) {
    const auto a = draw_samples(NoiseModel::kLognormal, 5, rng);
    const auto b = times(draw_samples(NoiseModel::kLognormal, 10, rng), 3);
    held += compare_samples(a, b, {}).ratio_interval.contains(3);
  }
  EXPECT_GE(held, kTrials * 93 / 100);
}

TEST(CompareSamples, DirectionDecidesWhatIsBetter) {
  const Samples low{99, 100, 101, 100, 100}, high{199, 200, 201, 200, 200};
  EXPECT_EQ(compare_samples(low, high, {.better = Better::kHigher}).verdict, Verdict::kBetter);
  EXPECT_EQ(compare_samples(high, low, {.better = Better::kHigher}).verdict, Verdict::kWorse);
  EXPECT_EQ(compare_samples(low, high, {.better = Better::kLower}).verdict, Verdict::kWorse);
  EXPECT_EQ(compare_samples(high, low, {.better = Better::kLower}).verdict, Verdict::kBetter);
  EXPECT_EQ(compare_samples(low, high, {.better = Better::kNeither}).verdict, Verdict::kChanged);
  const Comparison c = compare_samples(low, high, {});
  EXPECT_EQ(c.base, 100);
  EXPECT_EQ(c.current, 200);
  EXPECT_DOUBLE_EQ(c.ratio, 2);
  EXPECT_TRUE(c.ratio_interval.contains(2));
}

TEST(CompareSamples, RealButSmallChangesAreTheSame) {
  const Samples base{1000, 1000.1, 999.9, 1000, 1000}, current{1004, 1004.1, 1003.9, 1004, 1004};
  EXPECT_EQ(compare_samples(base, current, {.threshold = 0.01}).verdict, Verdict::kSame);
  EXPECT_EQ(compare_samples(base, current, {.threshold = 0.001}).verdict, Verdict::kBetter);
}

TEST(CompareSamples, FewOrEqualSamples) {
  EXPECT_EQ(compare_samples(Samples{1}, Samples{2, 2, 2}, {}).verdict, Verdict::kUnknown);
  EXPECT_EQ(compare_samples(Samples{1}, Samples{2, 2, 2}, {}).doubt, Doubt::kFewSamples);
  EXPECT_EQ(compare_samples(Samples{}, Samples{2, 2}, {}).verdict, Verdict::kUnknown);
  EXPECT_EQ(compare_samples(Samples{2}, Samples{2, 2, 2}, {}).verdict, Verdict::kSame);
  EXPECT_EQ(compare_samples(Samples{2, 2}, Samples{3, 3}, {}).verdict, Verdict::kBetter);
}

TEST(CompareSamples, ValuesThatAreNotAboveZero) {
  const Comparison same = compare_samples(Samples{0, 0, 0}, Samples{0, 0, 0}, {.better = Better::kLower});
  EXPECT_EQ(same.verdict, Verdict::kSame);
  EXPECT_TRUE(std::isnan(same.ratio));
  const Samples none{0, 0, 0}, some{50, 51, 52};
  EXPECT_EQ(compare_samples(none, some, {.better = Better::kLower}).verdict, Verdict::kWorse);
  EXPECT_EQ(compare_samples(some, none, {.better = Better::kLower}).verdict, Verdict::kBetter);
  const Comparison overlap = compare_samples(Samples{-1, 0, 5}, Samples{0, 1, 6}, {});
  EXPECT_EQ(overlap.verdict, Verdict::kUnknown);
  EXPECT_EQ(overlap.doubt, Doubt::kNoRatio);
}

TEST(VerdictName, AreThoseOfTheDocumentation) {
  EXPECT_EQ(verdict_name(Verdict::kSame), "same");
  EXPECT_EQ(verdict_name(Verdict::kUnknown), "unknown");
  EXPECT_EQ(doubt_name(Doubt::kNoisy), "too noisy");
  EXPECT_EQ(doubt_name(Doubt::kNone), "");
}

}  // namespace
}  // namespace ff::bench
