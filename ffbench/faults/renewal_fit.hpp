// Exponential and Weibull laws fitted to the times between failures, by maximum likelihood.
//
// Weibull  F(t) = 1 - exp(-(t / scale)^shape). Shape 1 is the exponential law (failures have no memory); below 1 they
//          come in bursts, above 1 they keep a distance. The shape solves
//          sum(t^k ln t) / sum(t^k) - 1/k - mean(ln t) = 0, whose left side grows with k, by bisection; times are
//          divided by the largest first, so that no power overflows.
// Test     Likelihood ratio: twice the gain of the Weibull law over the exponential is chi-squared with one degree.
// Spread   Percentile bootstrap; beyond 40,000 times, where that would take minutes, the large-sample normal intervals.
// Source   Cohen, "Maximum Likelihood Estimation in the Weibull Distribution", 1965.
// Threads  Pure functions; the bootstrap's seed is fixed.
#pragma once

#include <cstdint>
#include <span>

#include "ffbench/stats/interval.hpp"

namespace ff::bench {

struct WeibullFit {
  double shape = 0;
  double scale = 0;  // in the unit of the times
  double log_likelihood = 0;
};

struct RenewalFit {
  double mean = 0;  // of the exponential law
  Interval mean_interval;
  double exponential_log_likelihood = 0;
  WeibullFit weibull;
  Interval shape_interval;
  Interval scale_interval;
  double p_value = 1;  // of the exponential law against the Weibull law
};

// NaN throughout for fewer than 3 times, or when all are equal (the shape has no bound then).
// REQUIRES: times finite and above 0.
WeibullFit fit_weibull(std::span<const double> times);
RenewalFit fit_renewal(std::span<const double> times, double confidence = 0.95);

}  // namespace ff::bench
