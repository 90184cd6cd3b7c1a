// Times as logs and tables of failures write them, as nanoseconds since 1970 in UTC.
//
// Accepted  "2023-10" (a month), "2023-04-19", "2023/4/19" (a day), "2023-04-19T12:00:00", with a space for the T, with
//           a fraction (. or ,) and a zone ("Z", "+01:00", "+0100"). Without a zone the time is taken as UTC.
// Range     Years 1970 to 2199.
// Threads   Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ff::bench {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;
inline constexpr std::int64_t kHourNs = 3600 * kSecondNs;
inline constexpr std::int64_t kDayNs = 24 * kHourNs;

enum class TimePrecision : std::uint8_t { kMonth, kDay, kInstant };

struct ParsedTime {
  std::int64_t ns = 0;  // the start of the month or day
  TimePrecision precision = TimePrecision::kInstant;
};

// The whole text.
std::optional<ParsedTime> parse_time(std::string_view text);
// A date and time of day at the start of `text`, which is shortened by them.
std::optional<std::int64_t> take_instant(std::string_view& text);

// Nothing for a date that does not exist (February 30). Month and day count from 1.
std::optional<std::int64_t> civil_ns(int year, unsigned month, unsigned day);
// "Jan" -> 1; 0 for anything else.
unsigned month_number(std::string_view name);
int year_of(std::int64_t ns);

// Start of the next month or day after the one that `ns` is in (kInstant: day).
std::int64_t end_of_unit(std::int64_t ns, TimePrecision precision);

std::string month_text(std::int64_t ns);    // "2023-04"
std::string day_text(std::int64_t ns);      // "2023-04-19"
std::string instant_text(std::int64_t ns);  // "2023-04-19T12:00:00.123456789Z", the fraction only where there is one

}  // namespace ff::bench
