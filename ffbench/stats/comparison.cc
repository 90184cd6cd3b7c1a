#include "ffbench/stats/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ffbench/stats/bootstrap.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::bench {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Verdict verdict_of(bool higher, Better better) {
  if (better == Better::kNeither) return Verdict::kChanged;
  return higher == (better == Better::kHigher) ? Verdict::kBetter : Verdict::kWorse;
}

// Squares of the errors of one side, corrected for the bootstrap's narrowness.
struct SideError {
  double below = 0, above = 0;
  double mean() const { return (below + above) / 2; }
  double degrees = 1;
};

SideError log_error(std::span<const double> samples) {
  std::vector<double> logs;
  logs.reserve(samples.size());
  for (const double x : samples) logs.push_back(std::log(x));
  const MedianSpread spread = bootstrap_median(logs);
  const double n = static_cast<double>(samples.size()), wider = n / (n - 1);
  return {spread.below * spread.below * wider, spread.above * spread.above * wider, n - 1};
}

Interval interval_of_ratio(double ratio, const SideError& base, const SideError& current, double confidence) {
  const double all = base.mean() + current.mean();
  if (all == 0) return {ratio, ratio};
  const double degrees =
      all * all / (base.mean() * base.mean() / base.degrees + current.mean() * current.mean() / current.degrees);
  const double t = student_quantile((1 + confidence) / 2, std::max(1.0, degrees));
  // The ratio is low where the new median is low or the old one high.
  return {ratio * std::exp(-t * std::sqrt(current.below + base.above)),
          ratio * std::exp(t * std::sqrt(current.above + base.below))};
}

// Without ratios: different where the intervals of the medians are apart. There is no band to call them the same by.
Verdict verdict_of_medians(std::span<const double> base, std::span<const double> current, CompareOptions options) {
  const Interval a = median_interval(base, options.confidence), b = median_interval(current, options.confidence);
  if (b.low > a.high) return verdict_of(true, options.better);
  if (b.high < a.low) return verdict_of(false, options.better);
  return Verdict::kUnknown;
}

Verdict verdict_of_ratio(double ratio, const Interval& interval, CompareOptions options) {
  const auto within = [&](double band) { return interval.low >= 1 - band && interval.high <= 1 + band; };
  if (within(options.threshold)) return Verdict::kSame;
  if (!interval.contains(1)) return verdict_of(ratio > 1, options.better);
  return within(options.tolerance) ? Verdict::kSame : Verdict::kUnknown;
}

Comparison decided(Comparison result, Verdict verdict, Doubt doubt) {
  result.verdict = verdict;
  result.doubt = verdict == Verdict::kUnknown ? doubt : Doubt::kNone;
  return result;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kSame: return "same";
    case Verdict::kBetter: return "better";
    case Verdict::kWorse: return "worse";
    case Verdict::kChanged: return "changed";
    case Verdict::kUnknown: break;
  }
  return "unknown";
}

std::string_view doubt_name(Doubt doubt) noexcept {
  switch (doubt) {
    case Doubt::kFewSamples: return "too few samples";
    case Doubt::kNoRatio: return "values not above 0";
    case Doubt::kNoisy: return "too noisy";
    case Doubt::kNone: break;
  }
  return "";
}

Comparison compare_samples(std::span<const double> base, std::span<const double> current, CompareOptions options) {
  FF_ASSERT(options.threshold >= 0 && options.tolerance >= 0, options.threshold, options.tolerance);
  FF_ASSERT(options.confidence > 0 && options.confidence < 1, options.confidence);
  Comparison result{median(base), median(current), kNone, {kNone, kNone}, Verdict::kUnknown, Doubt::kFewSamples};
  if (base.empty() || current.empty()) return result;
  const bool all_positive = std::ranges::min(base) > 0 && std::ranges::min(current) > 0;
  if (all_positive) result.ratio = result.current / result.base;
  const auto all_equal = [&](std::span<const double> side) {
    return std::ranges::all_of(side, [&](double x) { return x == base[0]; });
  };
  if (all_equal(base) && all_equal(current)) {
    if (all_positive) result.ratio_interval = {1, 1};
    return decided(result, Verdict::kSame, Doubt::kNone);
  }
  if (base.size() < 2 || current.size() < 2) return result;
  if (!all_positive) return decided(result, verdict_of_medians(base, current, options), Doubt::kNoRatio);
  result.ratio_interval = interval_of_ratio(result.ratio, log_error(base), log_error(current), options.confidence);
  return decided(result, verdict_of_ratio(result.ratio, result.ratio_interval, options), Doubt::kNoisy);
}

}  // namespace ff::bench
