#include "ffbench/stats/outlier.hpp"

#include <algorithm>
#include <cmath>

#include "ffbench/stats/summary.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::bench {

// MAD x this estimates the standard deviation of normal noise: 1 / (the normal distribution's 75 % quantile).
constexpr double kDeviationsPerMad = 1.4826;

std::vector<OutlierScore> score_outliers(std::span<const double> values, OutlierOptions options) {
  FF_ASSERT(options.cutoff > 0 && options.relative_floor > 0, options.cutoff, options.relative_floor);
  std::vector<OutlierScore> scores(values.size());
  if (values.size() < std::max<std::size_t>(options.count_min, 1)) return scores;
  const double centre = median(values);
  const double spread =
      std::max(kDeviationsPerMad * median_absolute_deviation(values), options.relative_floor * std::fabs(centre));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double distance = values[i] - centre;
    if (distance == 0) continue;
    const double score = distance / spread;  // IEEE: infinite over a spread of 0
    scores[i] = {score, options.better == Better::kHigher  ? score < -options.cutoff
                        : options.better == Better::kLower ? score > options.cutoff
                                                           : std::fabs(score) > options.cutoff};
  }
  return scores;
}

}  // namespace ff::bench
