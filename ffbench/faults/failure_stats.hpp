// Statistics of a table of failures: sums by month, day and class, and the sequences that the laws are fitted to.
//
// Span     From the start of the first day (month, where a row gives no day) to the end of the last one, unless told.
//          Days without a row are days without failures.
// Threads  Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffbench/faults/failure_table.hpp"

namespace ff::bench {

struct Span {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;

  double hours() const noexcept { return static_cast<double>(end_ns - begin_ns) / static_cast<double>(kHourNs); }
};

// Nothing for an empty table.
std::optional<Span> span_of(std::span<const Failure> failures);
std::uint64_t total_of(std::span<const Failure> failures);
// "2023-04" -> 8, in order of time; months of the span without failures too.
std::map<std::string, std::uint64_t> monthly_sums(std::span<const Failure> failures);
std::map<std::string, std::uint64_t> class_sums(std::span<const Failure> failures);
// Days, of rows that name one, with at least `threshold` failures.
std::map<std::string, std::uint64_t> days_with(std::span<const Failure> failures, std::uint64_t threshold);
// Failures of every day of the span; empty when rows give months only, or when the span has more than 40,000 days.
std::vector<std::uint64_t> daily_counts(std::span<const Failure> failures, Span span);

struct Gaps {
  std::vector<double> hours;
  bool spread = false;        // rows gave days: their failures were spread evenly over the day
  std::uint64_t at_once = 0;  // failures at the same instant as the one before, taken as half a second apart
};
// Times between one failure and the next; none when rows give months only or there are more than 20 million failures.
Gaps gaps_between(std::span<const Failure> failures);

struct MonthDifference {
  std::string month;
  std::uint64_t here = 0;
  std::uint64_t there = 0;
};
// Months that both tables cover and disagree about.
std::vector<MonthDifference> month_differences(std::span<const Failure> here, std::span<const Failure> there);

}  // namespace ff::bench
