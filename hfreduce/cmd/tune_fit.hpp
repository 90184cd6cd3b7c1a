// From measured times to numbers and choices. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ff::hfreduce::cmd {

struct TunePoint {
  std::uint64_t bytes = 0;
  double seconds = 0;
};

// time = alpha + bytes / beta, the usual model of a link.
struct TuneFit {
  double alpha_s = 0;
  double beta_Bps = 0;  // bytes a second; 0 where the points do not rise with size
};
// Least squares of the relative error, so that small messages count as much as large ones. alpha is at least 0.
// REQUIRES times above 0.
TuneFit fit_line(const std::vector<TunePoint>& points);

// Geometric mean of a[i] / b[i] over equal sizes: below 1, `a` is the faster one. REQUIRES equal, non-zero lengths.
double time_ratio(const std::vector<TunePoint>& a, const std::vector<TunePoint>& b);

// Index of the candidate to choose over the default (index 0): the fastest by time_ratio, if it is faster than the
// default by more than `margin` (0.05); else 0. Candidates without points (refused) are passed over.
std::size_t choose(const std::vector<std::vector<TunePoint>>& candidates, double margin);

// Largest size up to which `small` is at least as fast as `large` at every measured size; 0 if at none.
std::uint64_t crossover(const std::vector<TunePoint>& small, const std::vector<TunePoint>& large);

}  // namespace ff::hfreduce::cmd
