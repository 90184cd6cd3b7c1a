// Bootstrap of the median: how far the medians of resamples (n draws with replacement) stray from the median. Internal
// to ffbench/stats. Threads: pure; equal samples in any order give equal bits.
#pragma once

#include <cstddef>
#include <span>

namespace ff::bench {

inline constexpr std::size_t kResamples = 2000;

// Root mean square distances of the resampled medians, below and above the median, each as if the other side were its
// mirror image: for symmetric samples both are the standard error of the median, as far as these samples know it.
struct MedianSpread {
  double centre = 0;  // the median itself
  double below = 0;
  double above = 0;
};

// REQUIRES: samples is not empty.
MedianSpread bootstrap_median(std::span<const double> samples);

}  // namespace ff::bench
