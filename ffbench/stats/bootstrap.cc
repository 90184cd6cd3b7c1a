#include "ffbench/stats/bootstrap.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

// Fixed, so that a report does not change when it is made again.
constexpr std::uint64_t kSeed = 0x66666265'6e636831;

double median_of_sorted(std::span<const double> sorted) {
  const std::size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : sorted[n / 2 - 1] * 0.5 + sorted[n / 2] * 0.5;
}

}  // namespace

MedianSpread bootstrap_median(std::span<const double> samples) {
  FF_ASSERT(!samples.empty(), samples.size());
  const std::size_t n = samples.size();
  // Sorted, so that the order in which the samples came does not choose the resamples. The median of a resample is then
  // found among its drawn places, which are small integers.
  std::vector<double> sorted(samples.begin(), samples.end());
  std::ranges::sort(sorted);
  MedianSpread spread{median_of_sorted(sorted), 0, 0};
  if (sorted.front() == sorted.back()) return spread;

  Rng rng(kSeed);
  std::vector<std::uint32_t> places(n);
  const auto upper = places.begin() + static_cast<std::ptrdiff_t>(n / 2);
  for (std::size_t i = 0; i < kResamples; ++i) {
    for (auto& place : places) place = static_cast<std::uint32_t>(rng.below(n));
    std::nth_element(places.begin(), upper, places.end());
    double resampled = sorted[*upper];
    if (n % 2 == 0) resampled = resampled * 0.5 + sorted[*std::max_element(places.begin(), upper)] * 0.5;
    const double distance = resampled - spread.centre;
    (distance < 0 ? spread.below : spread.above) += distance * distance;
  }
  spread.below = std::sqrt(2 * spread.below / kResamples);
  spread.above = std::sqrt(2 * spread.above / kResamples);
  return spread;
}

}  // namespace ff::bench
