// The one parser and printer of durations.
//
// Accepted  "250us", "3s", "1.5h", "2d", "100ns", "5ms", "10m" (minutes), and what format_duration()
//           prints: "2h3m", whole parts in shrinking units; a bare number is refused, except "0".
// Refused   negative, empty, unknown unit, over 292 years, a fraction below one nanosecond.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff {

Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

// "250us", "1.5s", "2h3m": at most three significant digits below a minute, two units above.
std::string format_duration(std::chrono::nanoseconds duration);
// The same where that reads back as the same time, else nanoseconds: for defaults and limits that are shown.
std::string exact_duration(std::chrono::nanoseconds duration);

}  // namespace ff
