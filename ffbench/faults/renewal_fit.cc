#include "ffbench/faults/renewal_fit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "ffbench/faults/poisson.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kShapeMin = 1e-3, kShapeMax = 1e4;
constexpr std::size_t kResamplesMax = 1000, kResamplesMin = 50;
constexpr std::size_t kDrawsMax = 2'000'000;  // of all resamples: bounds the work for long tables
constexpr std::size_t kBootstrapTimesMax = kDrawsMax / kResamplesMin;
constexpr std::uint64_t kSeed = 0x7765'6962;

double mean_of(std::span<const double> times) {
  return std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
}

// The left side of the equation for the shape; `logs` are those of times divided by the largest one, so at most 0.
double shape_equation(std::span<const double> logs, double mean_log, double shape) {
  double powers = 0, weighted = 0;
  for (const double log : logs) {
    const double power = std::exp(shape * log);
    powers += power;
    weighted += power * log;
  }
  return weighted / powers - 1 / shape - mean_log;
}

double solve_shape(std::span<const double> logs, double mean_log) {
  double low = kShapeMin, high = kShapeMax;
  if (shape_equation(logs, mean_log, high) < 0) return kNan;
  for (int i = 0; i < 100 && high / low > 1 + 1e-9; ++i) {
    const double middle = std::sqrt(low * high);
    (shape_equation(logs, mean_log, middle) < 0 ? low : high) = middle;
  }
  return std::sqrt(low * high);
}

Interval percentiles(std::vector<double>& values, double confidence) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.size() < 2) return {kNan, kNan};
  std::ranges::sort(values);
  const auto at = [&](double q) {
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  };
  return {at((1 - confidence) / 2), at((1 + confidence) / 2)};
}

// From the information matrix; what the bootstrap would say of so many times, without its cost.
void set_large_sample_intervals(RenewalFit& fit, double n, double confidence) {
  const double z = std::sqrt(chi_squared_quantile(confidence, 1) / n);
  const auto around = [](double value, double half) { return Interval{value - half, value + half}; };
  fit.mean_interval = around(fit.mean, z * fit.mean);
  fit.shape_interval = around(fit.weibull.shape, z * 0.780 * fit.weibull.shape);
  fit.scale_interval = around(fit.weibull.scale, z * 1.053 * fit.weibull.scale / fit.weibull.shape);
}

}  // namespace

WeibullFit fit_weibull(std::span<const double> times) {
  constexpr WeibullFit kNone{kNan, kNan, kNan};
  if (times.size() < 3) return kNone;
  const double largest = *std::ranges::max_element(times);
  if (largest == *std::ranges::min_element(times)) return kNone;
  std::vector<double> logs(times.size());
  std::ranges::transform(times, logs.begin(), [&](double time) { return std::log(time / largest); });
  const double mean_log = mean_of(logs);
  const double shape = solve_shape(logs, mean_log);
  if (!std::isfinite(shape)) return kNone;
  double powers = 0;
  for (const double log : logs) powers += std::exp(shape * log);
  const auto n = static_cast<double>(times.size());
  const double scale = largest * std::pow(powers / n, 1 / shape);
  // At the maximum, sum((t/scale)^shape) is n.
  const double sum_of_logs = n * (mean_log + std::log(largest));
  return {shape, scale, n * std::log(shape) - n * shape * std::log(scale) + (shape - 1) * sum_of_logs - n};
}

RenewalFit fit_renewal(std::span<const double> times, double confidence) {
  RenewalFit fit;
  fit.weibull = fit_weibull(times);
  if (!std::isfinite(fit.weibull.shape)) {
    fit.mean = fit.exponential_log_likelihood = fit.p_value = kNan;
    fit.mean_interval = fit.shape_interval = fit.scale_interval = {kNan, kNan};
    return fit;
  }
  fit.mean = mean_of(times);
  fit.exponential_log_likelihood = -static_cast<double>(times.size()) * (std::log(fit.mean) + 1);
  fit.p_value = chi_squared_tail(2 * std::max(0.0, fit.weibull.log_likelihood - fit.exponential_log_likelihood), 1);
  if (times.size() > kBootstrapTimesMax) {
    set_large_sample_intervals(fit, static_cast<double>(times.size()), confidence);
    return fit;
  }
  Rng rng(kSeed);
  std::vector<double> drawn(times.size()), means, shapes, scales;
  const std::size_t resamples = std::clamp(kDrawsMax / times.size(), kResamplesMin, kResamplesMax);
  for (std::size_t i = 0; i < resamples; ++i) {
    for (double& time : drawn) time = times[rng.below(times.size())];
    const WeibullFit again = fit_weibull(drawn);
    means.push_back(mean_of(drawn));
    shapes.push_back(again.shape);
    scales.push_back(again.scale);
  }
  fit.mean_interval = percentiles(means, confidence);
  fit.shape_interval = percentiles(shapes, confidence);
  fit.scale_interval = percentiles(scales, confidence);
  return fit;
}

}  // namespace ff::bench
