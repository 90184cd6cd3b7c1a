// Summaries of a few samples. All take finite numbers in any order and give NaN for none.
// Threads: pure functions; they allocate.
#pragma once

#include <span>

namespace ff::bench {

double mean(std::span<const double> samples);
// The middle one, or the mean of the middle two.
double median(std::span<const double> samples);
// Linear between order statistics (type 7 of Hyndman and Fan 1996, the default of R and NumPy). `q` in [0, 1].
double quantile(std::span<const double> samples, double q);
// Median distance from the median, not scaled: times 1.4826 it estimates the standard deviation of normal noise.
double median_absolute_deviation(std::span<const double> samples);
// NaN also when a sample is not above 0.
double geometric_mean(std::span<const double> samples);
// (max - min) / |median|: how far the rounds of a measurement disagree. 0 when all are equal, infinite when the median
// alone is 0.
double relative_spread(std::span<const double> samples);

}  // namespace ff::bench
