#include "ffbench/stats/summary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace ff::bench {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double mean(std::span<const double> samples) {
  if (samples.empty()) return kNone;
  double sum = 0;
  for (const double x : samples) sum += x / static_cast<double>(samples.size());
  return sum;
}

double median(std::span<const double> samples) { return quantile(samples, 0.5); }

double quantile(std::span<const double> samples, double q) {
  if (samples.empty()) return kNone;
  std::vector<double> sorted(samples.begin(), samples.end());
  const double place = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(sorted.begin(), at, sorted.end());
  const double low = *at;
  if (at + 1 == sorted.end()) return low;
  // Weighted parts instead of low + share x (high - low), whose difference can overflow.
  const double high = *std::min_element(at + 1, sorted.end()), share = place - static_cast<double>(below);
  return low * (1 - share) + high * share;
}

double median_absolute_deviation(std::span<const double> samples) {
  const double middle = median(samples);
  std::vector<double> distances;
  distances.reserve(samples.size());
  for (const double x : samples) distances.push_back(std::fabs(x - middle));
  return median(distances);
}

double geometric_mean(std::span<const double> samples) {
  if (samples.empty()) return kNone;
  double sum = 0;
  for (const double x : samples) {
    if (!(x > 0)) return kNone;
    sum += std::log(x);
  }
  return std::exp(sum / static_cast<double>(samples.size()));
}

double relative_spread(std::span<const double> samples) {
  if (samples.empty()) return kNone;
  const auto [low, high] = std::ranges::minmax(samples);
  return high == low ? 0 : (high - low) / std::fabs(median(samples));
}

}  // namespace ff::bench
