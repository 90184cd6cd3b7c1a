#include "hfreduce/cmd/tune_fit.hpp"

#include <algorithm>
#include <cmath>

namespace ff::hfreduce::cmd {

TuneFit fit_line(const std::vector<TunePoint>& points) {
  // Weights 1/t^2 make (alpha + b x - t)^2 / t^2 the error.
  double w = 0, wx = 0, wt = 0, wxx = 0, wxt = 0;
  for (const TunePoint& point : points) {
    const double x = static_cast<double>(point.bytes), t = point.seconds, weight = 1 / (t * t);
    w += weight;
    wx += weight * x;
    wt += weight * t;
    wxx += weight * x * x;
    wxt += weight * x * t;
  }
  TuneFit fit;
  const double determinant = w * wxx - wx * wx;
  // One size only, or all the same: a slope through the origin.
  double slope = determinant > 1e-12 * w * wxx ? (w * wxt - wx * wt) / determinant : wxx > 0 ? wxt / wxx : 0;
  fit.alpha_s = w > 0 ? (wt - slope * wx) / w : 0;
  if (fit.alpha_s < 0) {
    fit.alpha_s = 0;
    slope = wxx > 0 ? wxt / wxx : 0;
  }
  if (slope > 0) fit.beta_Bps = 1 / slope;
  return fit;
}

double time_ratio(const std::vector<TunePoint>& a, const std::vector<TunePoint>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::log(a[i].seconds / b[i].seconds);
  return std::exp(sum / static_cast<double>(a.size()));
}

std::size_t choose(const std::vector<std::vector<TunePoint>>& candidates, double margin) {
  if (candidates.empty() || candidates[0].empty()) return 0;
  std::size_t best = 0;
  double best_ratio = 1 - margin;
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (candidates[i].size() != candidates[0].size()) continue;
    const double ratio = time_ratio(candidates[i], candidates[0]);
    if (ratio < best_ratio) {
      best_ratio = ratio;
      best = i;
    }
  }
  return best;
}

std::uint64_t crossover(const std::vector<TunePoint>& small, const std::vector<TunePoint>& large) {
  std::uint64_t last = 0;
  for (std::size_t i = 0; i < std::min(small.size(), large.size()); ++i) {
    if (small[i].seconds > large[i].seconds) break;
    last = small[i].bytes;
  }
  return last;
}

}  // namespace ff::hfreduce::cmd
