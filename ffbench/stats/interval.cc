#include "ffbench/stats/interval.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "ffbench/stats/bootstrap.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::bench {
namespace {

// Student's distribution function by its integral. t = sqrt(degrees) tan(u) makes the range finite and the integrand
// cos(u)^(degrees - 1), which is smooth, so that Simpson's rule with 200 steps is right to 1e-9.
double student_below(double t, double degrees) {
  const double scale =
      std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2)) / std::sqrt(std::numbers::pi);
  const double end = std::atan(t / std::sqrt(degrees));
  const auto density = [&](double u) { return std::pow(std::cos(u), degrees - 1); };
  constexpr int kSteps = 200;
  double sum = density(0) + density(end);
  for (int i = 1; i < kSteps; ++i) sum += density(end * i / kSteps) * (i % 2 == 1 ? 4 : 2);
  return 0.5 + scale * sum * end / kSteps / 3;
}

}  // namespace

double student_quantile(double q, double degrees) {
  FF_ASSERT(q > 0 && q < 1 && degrees >= 1, q, degrees);
  if (q == 0.5) return 0;
  if (q < 0.5) return -student_quantile(1 - q, degrees);
  double low = 0, high = 1;
  while (high < 1e9 && student_below(high, degrees) < q) high *= 2;
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (student_below(middle, degrees) < q ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval median_interval(std::span<const double> samples, double confidence) {
  FF_ASSERT(confidence > 0 && confidence < 1, confidence);
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (samples.size() < 2) return {kNone, kNone};
  const MedianSpread spread = bootstrap_median(samples);
  if (spread.below == 0 && spread.above == 0) return {spread.centre, spread.centre};
  const double n = static_cast<double>(samples.size());
  const double reach = student_quantile((1 + confidence) / 2, n - 1) * std::sqrt(n / (n - 1));
  Interval interval{spread.centre - reach * spread.below, spread.centre + reach * spread.above};
  if (std::ranges::min(samples) >= 0) interval.low = std::max(interval.low, 0.0);
  return interval;
}

}  // namespace ff::bench
