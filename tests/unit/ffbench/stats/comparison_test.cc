#include "ffbench/stats/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/unit/ffbench/stats/noise_models.hpp"

namespace ff::bench {
namespace {

using Samples = std::vector<double>;
constexpr int kTrials = 500;

TEST(CompareSamples, CallsTwoRunsOfOneMachineTheSame) {
  for (const std::size_t n : {3, 5, 10})
    for (const NoiseModel model : {NoiseModel::kNormal, NoiseModel::kLognormal, NoiseModel::kDrift}) {
      Rng rng(100 + n);
      int different = 0;
      for (int i = 0; i < kTrials; ++i) {
        const auto a = draw_samples(model, n, rng), b = draw_samples(model, n, rng);
        different += compare_samples(a, b, {.threshold = 0}).verdict != Verdict::kSame;
      }
      EXPECT_LE(different, kTrials / 10) << "n=" << n << " model=" << static_cast<int>(model);
    }
}

TEST(CompareSamples, FindsFivePercentUnderOnePercentOfNoise) {
  Rng rng(200);
  int found = 0;
  for (int i = 0; i < kTrials; ++i) {
    const auto a = draw_samples(NoiseModel::kNormal, 5, rng);
    auto b = draw_samples(NoiseModel::kNormal, 5, rng);
    for (double& x : b) x *= 0.95;
    found += compare_samples(a, b, {}).verdict == Verdict::kWorse;
  }
  EXPECT_GE(found, kTrials * 9 / 10);
}

TEST(CompareSamples, IntervalHoldsTheTrueRatio) {
  Rng rng(300);
  int held = 0;
  for (int i = 0; i < kTrials; ++i) {
    const auto a = draw_samples(NoiseModel::kLognormal, 5, rng);
    auto b = draw_samples(NoiseModel::kLognormal, 10, rng);
    for (double& x : b) x *= 3;
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
  EXPECT_EQ(compare_samples(Samples{-1, 0, 5}, Samples{0, 1, 6}, {}).verdict, Verdict::kSame);
}

TEST(VerdictName, AreThoseOfTheDocumentation) {
  EXPECT_EQ(verdict_name(Verdict::kSame), "same");
  EXPECT_EQ(verdict_name(Verdict::kUnknown), "unknown");
}

}  // namespace
}  // namespace ff::bench
