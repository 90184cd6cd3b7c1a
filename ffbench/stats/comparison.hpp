// Is the new measurement better, worse or the same as the base?
//
// Method   Ratio of the medians, new / base. Its interval comes from the bootstrap of the median of the logarithms of
//          each side (bootstrap.hpp), the squares of both added, times Student's quantile at the degrees of freedom of
//          Welch and Satterthwaite. It is an interval of the DIFFERENCE of two runs and therefore some 1.4 times as
//          wide as that of one run.
// Verdict  The first that holds:
//          kSame     the interval lies within 1 +- threshold: whatever the difference is, it is too small to matter
//          kBetter, kWorse by the metric's direction, kChanged when it has none: the interval excludes 1
//          kSame     the interval lies within 1 +- tolerance: no difference is seen, and a larger one is excluded
//          kUnknown  the interval holds 1 and reaches beyond: as noisy as this, a difference could not be seen. That
//                    no difference is seen is by itself no sign that there is none.
// Errors   Two runs of one machine are called different in at most 10 of 100 comparisons (simulated in
//          comparison_test.cc: 1 to 3 at n = 5 and 10; 7 to 16 where rounds resemble their neighbours, autocorrelation
//          0.5). Runs that differ by the tolerance are called the same in at most 5 of 100, whatever the noise: two
//          one-sided tests, each at half of 1 - confidence.
// Source   Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", 1987.
// Threads  Pure functions; equal samples in any order give equal bits.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ffbench/stats/better.hpp"
#include "ffbench/stats/interval.hpp"

namespace ff::bench {

enum class Verdict : std::uint8_t { kSame, kBetter, kWorse, kChanged, kUnknown };

// "same", "better", "worse", "changed", "unknown".
std::string_view verdict_name(Verdict verdict) noexcept;

// Why a verdict is kUnknown.
enum class Doubt : std::uint8_t { kNone, kFewSamples, kNoRatio, kNoisy };

// "" for kNone, "too few samples", "values not above 0", "too noisy".
std::string_view doubt_name(Doubt doubt) noexcept;

struct Comparison {
  double base = 0;  // medians
  double current = 0;
  double ratio = 0;         // current / base; NaN where a sample is not above 0
  Interval ratio_interval;  // NaN where there is none
  Verdict verdict = Verdict::kUnknown;
  Doubt doubt = Doubt::kNone;  // kNone unless the verdict is kUnknown
};

inline constexpr double kDefaultThreshold = 0.01;
// Five rounds of 1 % noise give intervals of some +-2 %, of 2 % noise +-4 %: what is noisier than that hides changes
// that matter.
inline constexpr double kDefaultTolerance = 0.05;

struct CompareOptions {
  Better better = Better::kHigher;
  double threshold = kDefaultThreshold;  // the least relative change that matters; 0 or more
  double tolerance = kDefaultTolerance;  // the relative change that must be excluded for kSame; 0 or more
  double confidence = 0.95;
};

// Samples that are all equal to all of the other side are kSame however few they are. Otherwise fewer than two samples
// on a side give kUnknown. Where a sample is not above 0, ratios mean nothing: then the verdict is kUnknown unless the
// intervals of the two medians are disjoint. REQUIRES: samples finite, options as stated.
Comparison compare_samples(std::span<const double> base, std::span<const double> current, CompareOptions options);

}  // namespace ff::bench
