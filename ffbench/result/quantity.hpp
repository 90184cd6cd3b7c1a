// Values of a document as people read them: three or four digits and a prefix. JSON never uses these.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "ffbench/stats/interval.hpp"

namespace ff::bench {

// "12.5GB/s", "3.2us", "1.21M/s", "64MiB", "41.2GFLOP/s", "0.987", "42"; "-" for a value that is not finite. A unit of
// another kind follows the number: "1.5 W".
std::string format_quantity(double value, std::string_view unit);

// " ±1.3%": half the interval's width as a share of the value. Empty where there is no interval.
std::string format_spread(double value, Interval interval);

}  // namespace ff::bench
