#include "ffbench/faults/failure_stats.hpp"

#include <algorithm>

namespace ff::bench {
namespace {

constexpr std::int64_t kDaysMax = 40'000;
constexpr std::uint64_t kGapsMax = 20'000'000;
constexpr double kAtOnceHours = 0.5 / 3600;

std::int64_t start_of_day(std::int64_t ns) { return ns - ns % kDayNs; }

bool has_days(const Failure& failure) { return failure.precision != TimePrecision::kMonth; }

}  // namespace

std::optional<Span> span_of(std::span<const Failure> failures) {
  std::optional<Span> span;
  for (const Failure& failure : failures) {
    const std::int64_t begin = start_of_day(failure.time_ns);  // a month begins with a day
    const std::int64_t end = end_of_unit(failure.time_ns, failure.precision);
    if (!span) span = Span{begin, end};
    span = Span{std::min(span->begin_ns, begin), std::max(span->end_ns, end)};
  }
  return span;
}

std::uint64_t total_of(std::span<const Failure> failures) {
  std::uint64_t total = 0;
  for (const Failure& failure : failures) total += failure.count;
  return total;
}

std::map<std::string, std::uint64_t> monthly_sums(std::span<const Failure> failures) {
  std::map<std::string, std::uint64_t> sums;
  const auto span = span_of(failures);
  if (!span) return sums;
  for (std::int64_t at = span->begin_ns; at < span->end_ns; at = end_of_unit(at, TimePrecision::kMonth))
    sums[month_text(at)] = 0;
  for (const Failure& failure : failures) sums[month_text(failure.time_ns)] += failure.count;
  return sums;
}

std::map<std::string, std::uint64_t> class_sums(std::span<const Failure> failures) {
  std::map<std::string, std::uint64_t> sums;
  for (const Failure& failure : failures) sums[failure.fault_class] += failure.count;
  return sums;
}

std::map<std::string, std::uint64_t> days_with(std::span<const Failure> failures, std::uint64_t threshold) {
  std::map<std::string, std::uint64_t> days;
  for (const Failure& failure : failures)
    if (has_days(failure)) days[day_text(failure.time_ns)] += failure.count;
  std::erase_if(days, [&](const auto& day) { return day.second < threshold; });
  return days;
}

std::vector<std::uint64_t> daily_counts(std::span<const Failure> failures, Span span) {
  const std::int64_t days = (span.end_ns - span.begin_ns + kDayNs - 1) / kDayNs;
  if (days <= 0 || days > kDaysMax || !std::ranges::all_of(failures, has_days)) return {};
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(days));
  for (const Failure& failure : failures) {
    const std::int64_t day = (failure.time_ns - span.begin_ns) / kDayNs;
    if (failure.time_ns >= span.begin_ns && day < days) counts[static_cast<std::size_t>(day)] += failure.count;
  }
  return counts;
}

Gaps gaps_between(std::span<const Failure> failures) {
  Gaps gaps;
  if (!std::ranges::all_of(failures, has_days) || total_of(failures) > kGapsMax) return gaps;
  std::map<std::int64_t, std::uint64_t> whole_days;
  std::vector<double> hours;
  for (const Failure& failure : failures) {
    if (failure.precision == TimePrecision::kDay) {
      whole_days[failure.time_ns] += failure.count;
    } else {
      hours.insert(hours.end(), failure.count, static_cast<double>(failure.time_ns) / static_cast<double>(kHourNs));
    }
  }
  gaps.spread = !whole_days.empty();
  for (const auto& [day_ns, count] : whole_days)
    for (std::uint64_t i = 0; i < count; ++i)
      hours.push_back(static_cast<double>(day_ns) / static_cast<double>(kHourNs) +
                      24.0 * (static_cast<double>(i) + 0.5) / static_cast<double>(count));
  std::ranges::sort(hours);
  for (std::size_t i = 1; i < hours.size(); ++i) {
    const double gap = hours[i] - hours[i - 1];
    gaps.at_once += gap <= 0;
    gaps.hours.push_back(gap > 0 ? gap : kAtOnceHours);
  }
  return gaps;
}

std::vector<MonthDifference> month_differences(std::span<const Failure> here, std::span<const Failure> there) {
  std::vector<MonthDifference> differences;
  const auto theirs = monthly_sums(there);
  for (const auto& [month, count] : monthly_sums(here)) {
    const auto other = theirs.find(month);
    if (other != theirs.end() && other->second != count) differences.push_back({month, count, other->second});
  }
  return differences;
}

}  // namespace ff::bench
