// Expected values: tables of chi-squared and of Garwood's limits; closed forms.
#include "ffbench/faults/poisson.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ff::bench {
namespace {

TEST(Poisson, GammaHasItsClosedForms) {
  for (const double x : {0.1, 1.0, 5.0, 30.0}) {
    EXPECT_NEAR(gamma_p(1, x), 1 - std::exp(-x), 1e-12);
    EXPECT_NEAR(gamma_p(0.5, x), std::erf(std::sqrt(x)), 1e-12);
  }
}

TEST(Poisson, ChiSquaredHasItsTabledQuantiles) {
  EXPECT_NEAR(chi_squared_quantile(0.95, 1), 3.841459, 1e-5);
  EXPECT_NEAR(chi_squared_quantile(0.975, 10), 20.483177, 1e-5);
  EXPECT_NEAR(chi_squared_quantile(0.025, 100), 74.221927, 1e-5);
}

// With two degrees of freedom the tail is exp(-x / 2).
TEST(Poisson, ChiSquaredTailIsExactFarOut) {
  EXPECT_NEAR(chi_squared_tail(200, 2) / std::exp(-100.0), 1, 1e-9);
  EXPECT_NEAR(chi_squared_tail(1, 2), std::exp(-0.5), 1e-12);
  EXPECT_DOUBLE_EQ(chi_squared_tail(0, 2), 1);
}

TEST(Poisson, IntervalsOfCountsAreGarwoods) {
  EXPECT_DOUBLE_EQ(poisson_mean_interval(0).low, 0);
  EXPECT_NEAR(poisson_mean_interval(0).high, 3.6889, 1e-3);
  EXPECT_NEAR(poisson_mean_interval(10).low, 4.7954, 1e-3);
  EXPECT_NEAR(poisson_mean_interval(10).high, 18.3904, 1e-3);
}

TEST(Poisson, MeanTimeBetweenOfNothingIsUnbounded) {
  EXPECT_TRUE(std::isinf(mean_time_between(0, 100).hours));
  EXPECT_NEAR(mean_time_between(0, 100).hours_interval.low, 100 / 3.6889, 0.01);
}

TEST(Poisson, TellsBurstsFromEvenCounts) {
  std::vector<std::uint64_t> bursts(100), even(100, 2);
  for (std::size_t i = 0; i < bursts.size(); i += 10) bursts[i] = 20;
  // 100 counts of mean 2 with ten of 20: sum of squares 10*18^2 + 90*2^2 = 3600, so 3600 / 99 / 2.
  const auto found = dispersion_of(bursts);
  EXPECT_NEAR(found.index, 3600.0 / 99 / 2, 1e-9);
  EXPECT_TRUE(found.clustered);
  EXPECT_LT(found.p_value, 1e-9);
  EXPECT_GT(found.p_value, 0);
  EXPECT_TRUE(found.interval.contains(found.index));
  EXPECT_DOUBLE_EQ(dispersion_of(even).index, 0);
  EXPECT_FALSE(dispersion_of(even).clustered);
}

TEST(Poisson, SaysNothingOfTooLittle) {
  EXPECT_TRUE(std::isnan(dispersion_of(std::vector<std::uint64_t>{3}).index));
  EXPECT_TRUE(std::isnan(dispersion_of(std::vector<std::uint64_t>{0, 0, 0}).index));
}

}  // namespace
}  // namespace ff::bench
