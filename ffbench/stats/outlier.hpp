// Which of many alike machines (or pairs of machines) is not like the others?
//
// Method   Modified z-score: distance from the median / (1.4826 x MAD). Median and MAD bear almost half of the machines
//          being bad, where mean and deviation are pulled along by the first bad one. The divisor has a floor, a share
//          of the median, because machines that agree to the last digit make the MAD 0 and every speck an outlier.
// Few      Below `count_min` values nobody is judged: of three machines none can be told from the other two by much.
// Source   Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993 (score, cutoff 3.5).
// Threads  Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ffbench/stats/better.hpp"

namespace ff::bench {

struct OutlierOptions {
  double cutoff = 3.5;
  double relative_floor = 0.01;  // of |median|: the least spread that machines alike are granted; above 0
  std::size_t count_min = 4;
  Better better = Better::kNeither;  // kHigher: only values that are too low are outliers; kLower: too high; else both
};

struct OutlierScore {
  double score = 0;  // signed: below 0 for a value below the median; 0 when nobody is judged
  bool outlier = false;
};

// One score for each value, in their order. A score is infinite when median and MAD are 0 and the value is not.
// REQUIRES: values finite.
std::vector<OutlierScore> score_outliers(std::span<const double> values, OutlierOptions options = {});

}  // namespace ff::bench
