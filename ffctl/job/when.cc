// Times in job files.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "ffctl/job/spec.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint64_t kYear10000Ms = 253'402'300'800'000;

// `count` digits from `at` on.
Result<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  // from_chars() would take a sign.
  const std::string_view part = text.substr(std::min(at, text.size()), count);
  if (!std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; })) return fail(Errc::kInvalidArgument, "");
  int value = 0;
  const char* const end = text.data() + std::min(text.size(), at + count);
  if (text.size() < at + count) return fail(Errc::kInvalidArgument, "");
  const auto [stop, code] = std::from_chars(text.data() + at, end, value);
  if (code != std::errc() || stop != end || value < 0) return fail(Errc::kInvalidArgument, "");
  return value;
}

Result<std::uint64_t> parse_iso(std::string_view text) {
  FF_TRY_ASSIGN(const int year, digits(text, 0, 4));
  FF_TRY_ASSIGN(const int month, digits(text, 5, 2));
  FF_TRY_ASSIGN(const int day, digits(text, 8, 2));
  FF_TRY_ASSIGN(const int hour, digits(text, 11, 2));
  FF_TRY_ASSIGN(const int minute, digits(text, 14, 2));
  FF_TRY_ASSIGN(const int second, digits(text, 17, 2));
  const bool marks = text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' && text[16] == ':';
  std::string_view rest = text.substr(19);
  int millis = 0;
  if (rest.size() == 5 && rest[0] == '.') {
    FF_TRY_ASSIGN(millis, digits(rest, 1, 3));
    rest.remove_prefix(4);
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!marks || rest != "Z" || !date.ok() || year < 1970 || hour > 23 || minute > 59 || second > 59)
    return fail(Errc::kInvalidArgument, "");
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((static_cast<std::uint64_t>(days) * 24 + static_cast<std::uint64_t>(hour)) * 3600 +
          static_cast<std::uint64_t>(minute) * 60 + static_cast<std::uint64_t>(second)) *
             1000 +
         static_cast<std::uint64_t>(millis);
}

}  // namespace

Result<std::uint64_t> parse_when(std::string_view text, std::uint64_t now_ms) {
  if (const auto after = parse_duration(text.substr(text.starts_with('+') ? 1 : 0)); after && after->count() >= 0) {
    // A part of a millisecond counts as a whole one.
    const std::uint64_t when = now_ms + (static_cast<std::uint64_t>(after->count()) + 999'999) / 1'000'000;
    if (when < kYear10000Ms) return when;
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is after the year 9999", text));
  }
  if (auto when = parse_iso(text)) return when;
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is no time (write 2026-12-31T08:00:00Z, or +2h for two hours from now)", text));
}

std::string format_when(std::uint64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(static_cast<std::int64_t>(unix_ms))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (clock.subseconds().count() != 0) out += fmt::format(".{:03}", clock.subseconds().count());
  return out + "Z";
}

}  // namespace ff::ctl
