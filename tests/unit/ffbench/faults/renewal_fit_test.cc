#include "ffbench/faults/renewal_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

std::vector<double> weibull_times(double shape, double scale, int count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(scale * std::pow(-std::log(1 - rng.uniform()), 1 / shape));
  return times;
}

double log_likelihood(const std::vector<double>& times, double shape, double scale) {
  double sum = 0;
  for (const double t : times)
    sum += std::log(shape / scale) + (shape - 1) * std::log(t / scale) - std::pow(t / scale, shape);
  return sum;
}

TEST(RenewalFit, StandsAtTheMaximumOfTheLikelihood) {
  for (const double shape : {0.5, 1.0, 3.0}) {
    const auto times = weibull_times(shape, 15, 300, 7);
    const WeibullFit fit = fit_weibull(times);
    EXPECT_NEAR(fit.log_likelihood, log_likelihood(times, fit.shape, fit.scale), 1e-6);
    for (const double step : {0.999, 1.001}) {
      EXPECT_GT(fit.log_likelihood, log_likelihood(times, fit.shape * step, fit.scale));
      EXPECT_GT(fit.log_likelihood, log_likelihood(times, fit.shape, fit.scale * step));
    }
  }
}

TEST(RenewalFit, FindsTheLawThatTheTimesCameFrom) {
  const RenewalFit bursts = fit_renewal(weibull_times(0.6, 10, 1000, 1));
  EXPECT_TRUE(bursts.shape_interval.contains(0.6));
  EXPECT_TRUE(bursts.scale_interval.contains(10));
  EXPECT_LT(bursts.p_value, 1e-6);
  const RenewalFit plain = fit_renewal(weibull_times(1, 15, 1000, 2));
  EXPECT_TRUE(plain.mean_interval.contains(15));
  EXPECT_TRUE(plain.shape_interval.contains(1));
  EXPECT_GT(plain.p_value, 0.01);
}

TEST(RenewalFit, AgreesWithTheBootstrapBeyondItsReach) {
  const RenewalFit large = fit_renewal(weibull_times(0.8, 5, 50'000, 3));
  EXPECT_TRUE(large.shape_interval.contains(0.8));
  EXPECT_NEAR(large.shape_interval.high - large.shape_interval.low, 2 * 1.96 * 0.78 * 0.8 / std::sqrt(50'000), 1e-4);
}

TEST(RenewalFit, SaysNothingOfTooLittle) {
  EXPECT_TRUE(std::isnan(fit_renewal(std::vector<double>{1, 2}).weibull.shape));
  EXPECT_TRUE(std::isnan(fit_renewal(std::vector<double>{2, 2, 2, 2}).weibull.shape));
}

TEST(RenewalFit, BearsAnyUnit) {
  auto times = weibull_times(2, 1, 100, 5);
  const WeibullFit hours = fit_weibull(times);
  for (double& time : times) time *= 1e200;
  const WeibullFit huge = fit_weibull(times);
  EXPECT_NEAR(huge.shape, hours.shape, 1e-6);
  EXPECT_NEAR(huge.scale / hours.scale / 1e200, 1, 1e-6);
}

}  // namespace
}  // namespace ff::bench
