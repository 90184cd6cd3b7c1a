// Is the new measurement better, worse or the same as the base?
//
// Method   Ratio of the medians, new / base. Its interval comes from the bootstrap of the median of the logarithms of
//          each side (bootstrap.hpp), the squares of both added, times Student's quantile at the degrees of freedom of
//          Welch and Satterthwaite. It is an interval of the DIFFERENCE of two runs and therefore some 1.4 times as
//          wide as that of one run.
// Verdict  kSame when the interval includes 1, or lies within 1 +- threshold (a difference that is real and too small
//          to matter); else kBetter or kWorse by the metric's direction, kChanged when it has none.
// Errors   Two runs of one machine are called different in at most 10 of 100 comparisons (simulated in
//          comparison_test.cc: 1 to 3 at n = 5 and 10; 7 to 16 where rounds resemble their neighbours, autocorrelation
//          0.5).
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

struct Comparison {
  double base = 0;  // medians
  double current = 0;
  double ratio = 0;         // current / base; NaN where a sample is not above 0
  Interval ratio_interval;  // NaN where there is none
  Verdict verdict = Verdict::kUnknown;
};

struct CompareOptions {
  Better better = Better::kHigher;
  double threshold = 0.01;  // the least relative change that matters; 0 or more
  double confidence = 0.95;
};

// Samples that are all equal to all of the other side are kSame however few they are. Otherwise fewer than two samples
// on a side give kUnknown. Where a sample is not above 0, ratios mean nothing: then the verdict is kSame unless the
// intervals of the two medians are disjoint. REQUIRES: samples finite, options as stated.
Comparison compare_samples(std::span<const double> base, std::span<const double> current, CompareOptions options);

}  // namespace ff::bench
