// Prometheus text exposition, version 0.0.4: what /metrics answers.
//
// Order    As in `families`: the same metrics give the same lines in the same order.
// Comments # HELP, # TYPE, and # UNIT where there is one (a comment to 0.0.4, meaningful to OpenMetrics readers).
// Histograms
//          Buckets at fixed bounds, the same in every program, so that they can be added across machines:
//            seconds  1, 2, 5 in every decade from 1 us to 100 s     (recorded in ns)
//            bytes    powers of four from 64 B to 1 GiB
//            none     powers of four from 1 to 4^15
//          A value up to 1.6 % (sub_bits 7) above a bound may count as below it, never the other way; _count is exact.
//          _sum is exact but for values that were clamped (histogram.hpp).
// Quantiles p50, p90, p99, p999 since the program started, as a summary under quantiles_name(), each at most 1.6 % too
//          high, NaN while nothing was recorded. They cannot be added up; for a window or a group use the buckets.
// Source   prometheus.io, "Exposition formats".
#pragma once

#include <string>
#include <vector>

#include "libcommon/metrics/family.hpp"

namespace ff::metrics {

inline constexpr const char* kTextContentType = "text/plain; version=0.0.4; charset=utf-8";

std::string to_text(const std::vector<Family>& families);

// The shortest text that Prometheus reads back as the same number: "0.001", "1e-06", "+Inf", "NaN".
std::string number_text(double value);

}  // namespace ff::metrics
