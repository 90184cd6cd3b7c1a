#include "ffbench/faults/civil_time.hpp"

#include <fmt/core.h>

#include <array>
#include <chrono>

namespace ff::bench {
namespace {

// `digits_min` to `digits_max` decimal digits at the start of `text`, taken away from it.
std::optional<unsigned> take_number(std::string_view& text, std::size_t digits_min, std::size_t digits_max) {
  unsigned value = 0;
  std::size_t digits = 0;
  while (digits < digits_max && digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
    value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
  if (digits < digits_min) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_time_of_day(std::string_view& text) {
  const auto hour = take_number(text, 1, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2, 2);
  if (!minute || *minute > 59) return std::nullopt;
  std::int64_t ns = (*hour * 3600 + *minute * 60) * kSecondNs;
  if (!take(text, ':')) return ns;
  const auto second = take_number(text, 2, 2);
  if (!second || *second > 60) return std::nullopt;  // 60: a leap second
  ns += *second * kSecondNs;
  if (text.size() < 2 || (text[0] != '.' && text[0] != ',') || text[1] < '0' || text[1] > '9') return ns;
  text.remove_prefix(1);
  for (std::int64_t unit = kSecondNs / 10; !text.empty() && text[0] >= '0' && text[0] <= '9'; unit /= 10) {
    ns += (text[0] - '0') * unit;
    text.remove_prefix(1);
  }
  return ns;
}

// "Z", "+01:00", "-0500" or nothing: what to subtract.
std::optional<std::int64_t> take_zone(std::string_view& text) {
  if (take(text, 'Z')) return 0;
  if (!text.starts_with('+') && !text.starts_with('-')) return 0;
  const std::int64_t sign = text[0] == '+' ? 1 : -1;
  text.remove_prefix(1);
  const auto hours = take_number(text, 2, 2);
  if (!hours || *hours > 15) return std::nullopt;
  take(text, ':');
  const auto minutes = take_number(text, 2, 2);
  if (!minutes || *minutes > 59) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60) * kSecondNs;
}

struct Date {
  unsigned year, month;
  std::optional<unsigned> day;
};

std::optional<Date> take_date(std::string_view& text) {
  const auto year = take_number(text, 4, 4);
  if (!year || text.empty() || (text[0] != '-' && text[0] != '/')) return std::nullopt;
  const char separator = text[0];
  text.remove_prefix(1);
  const auto month = take_number(text, 1, 2);
  if (!month) return std::nullopt;
  Date date{*year, *month, std::nullopt};
  if (!take(text, separator)) return date;
  date.day = take_number(text, 1, 2);
  if (!date.day) return std::nullopt;
  return date;
}

std::chrono::year_month_day date_of(std::int64_t ns) {
  return std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(ns)));
}

}  // namespace

std::optional<std::int64_t> civil_ns(int year, unsigned month, unsigned day) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (year < 1970 || year > 2199 || !date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count() * kDayNs;
}

std::optional<std::int64_t> take_instant(std::string_view& text) {
  std::string_view rest = text;
  const auto date = take_date(rest);
  if (!date || !date->day || (!take(rest, 'T') && !take(rest, ' '))) return std::nullopt;
  const auto start = civil_ns(static_cast<int>(date->year), date->month, *date->day);
  const auto time = take_time_of_day(rest);
  if (!start || !time) return std::nullopt;
  const auto zone = take_zone(rest);
  if (!zone) return std::nullopt;
  text = rest;
  return *start + *time - *zone;
}

std::optional<ParsedTime> parse_time(std::string_view text) {
  std::string_view rest = text;
  if (const auto instant = take_instant(rest)) {
    if (!rest.empty()) return std::nullopt;
    return ParsedTime{*instant, TimePrecision::kInstant};
  }
  const auto date = take_date(text);
  if (!date || !text.empty()) return std::nullopt;
  const auto ns = civil_ns(static_cast<int>(date->year), date->month, date->day.value_or(1));
  if (!ns) return std::nullopt;
  return ParsedTime{*ns, date->day ? TimePrecision::kDay : TimePrecision::kMonth};
}

unsigned month_number(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (unsigned i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return i + 1;
  return 0;
}

int year_of(std::int64_t ns) { return static_cast<int>(date_of(ns).year()); }

std::int64_t end_of_unit(std::int64_t ns, TimePrecision precision) {
  const auto date = date_of(ns);
  if (precision != TimePrecision::kMonth) return (std::chrono::sys_days(date).time_since_epoch().count() + 1) * kDayNs;
  const auto next =
      std::chrono::year_month_day(date.year(), date.month(), std::chrono::day(1)) + std::chrono::months(1);
  return std::chrono::sys_days(next).time_since_epoch().count() * kDayNs;
}

std::string month_text(std::int64_t ns) {
  const auto date = date_of(ns);
  return fmt::format("{:04}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()));
}

std::string day_text(std::int64_t ns) {
  return fmt::format("{}-{:02}", month_text(ns), static_cast<unsigned>(date_of(ns).day()));
}

std::string instant_text(std::int64_t ns) {
  const std::int64_t day = std::chrono::sys_days(date_of(ns)).time_since_epoch().count() * kDayNs;
  const std::int64_t seconds = (ns - day) / kSecondNs;
  const std::int64_t fraction = (ns - day) % kSecondNs;
  std::string text = fmt::format("{}T{:02}:{:02}:{:02}", day_text(ns), seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (fraction != 0) {
    text += fmt::format(".{:09}", fraction);
    while (text.ends_with('0')) text.pop_back();
  }
  return text + "Z";
}

}  // namespace ff::bench
