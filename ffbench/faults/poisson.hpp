// What the Poisson law says about counts of failures.
//
// Source   Abramowitz and Stegun 6.5 and 26.4 (incomplete gamma, chi-squared); Garwood, "Fiducial Limits for the
// Poisson
//          Distribution", 1936 (exact interval of a count); Fisher, "Statistical Methods for Research Workers", 1925
//          (index of dispersion).
// Threads  Pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "ffbench/stats/interval.hpp"

namespace ff::bench {

// Lower regularised incomplete gamma function P(a, x). REQUIRES: a > 0, x >= 0.
double gamma_p(double a, double x);
// P(X <= x) of chi-squared with `degrees` of freedom.
double chi_squared_cdf(double x, double degrees);
// P(X > x), exact far out, where 1 - cdf is 0.
double chi_squared_tail(double x, double degrees);
// REQUIRES: 0 < q < 1, degrees > 0.
double chi_squared_quantile(double q, double degrees);

// Means of the Poisson laws that `count` does not contradict.
Interval poisson_mean_interval(std::uint64_t count, double confidence = 0.95);

struct Mtbf {
  double hours = 0;  // infinite for no failures
  Interval hours_interval;
};
// Mean time between failures over `span_hours` of observation of a whole cluster.
Mtbf mean_time_between(std::uint64_t failures, double span_hours, double confidence = 0.95);

struct Dispersion {
  double index = 0;        // variance / mean of the counts: 1 for a Poisson process, above 1 when failures cluster
  Interval interval;       // of the index, by bootstrap over the counts
  Interval under_poisson;  // where the index of a Poisson process of as many counts lies
  double p_value = 1;      // of an index this far above 1 or further, under Poisson
  bool clustered = false;  // index above under_poisson
};
// NaN for fewer than two counts or no failures at all. The seed is fixed: equal counts give equal bits.
Dispersion dispersion_of(std::span<const std::uint64_t> counts, double confidence = 0.95);

}  // namespace ff::bench
