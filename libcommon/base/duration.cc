#include "libcommon/base/duration.hpp"

#include <fmt/core.h>

#include <cctype>
#include <cstdint>
#include <optional>

namespace ff {
namespace {

std::optional<std::int64_t> nanoseconds_in(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us") return 1'000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return 1'000'000'000;
  if (unit == "m" || unit == "min") return 60'000'000'000;
  if (unit == "h") return 3'600'000'000'000;
  if (unit == "d") return 86'400'000'000'000;
  return std::nullopt;
}

std::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not a duration: {} (write 250us, 30s, 1.5h or 2d)", text, why));
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::nanoseconds(0);
  unsigned __int128 sum = 0;
  std::int64_t unit_before = INT64_MAX;
  for (std::size_t i = 0; i < text.size() || i == 0;) {
    const std::size_t start = i;
    unsigned __int128 digits = 0, scale = 1;
    bool point = false, any = false;
    for (; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '.' && !point && any) {
        point = true;
      } else if (std::isdigit(static_cast<unsigned char>(c))) {
        if (digits > UINT64_MAX || scale > 1'000'000'000'000) return refuse(text, "too many digits");
        digits = digits * 10 + static_cast<unsigned>(c - '0');
        if (point) scale *= 10;
        any = true;
      } else {
        break;
      }
    }
    if (!any) return refuse(text, text.starts_with('-') ? "negative" : "no number");
    if (text[i - 1] == '.') return refuse(text, "no digits after the point");
    const std::size_t unit_start = i;
    while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i]))) ++i;
    const auto unit = nanoseconds_in(text.substr(unit_start, i - unit_start));
    if (!unit) return refuse(text, unit_start == text.size() ? "no unit" : "unknown unit");
    if (*unit >= unit_before || (point && (start > 0 || i < text.size())))
      return refuse(text, "parts must be whole and shrink, as in 2h30m");
    unit_before = *unit;
    const unsigned __int128 total = digits * static_cast<unsigned __int128>(*unit);
    if (total % scale != 0) return refuse(text, "finer than one nanosecond");
    sum += total / scale;
    if (sum > INT64_MAX) return refuse(text, "longer than 292 years");
  }
  return std::chrono::nanoseconds(static_cast<std::int64_t>(sum));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  std::int64_t ns = duration.count();
  if (ns < 0) return "-" + format_duration(std::chrono::nanoseconds(ns == INT64_MIN ? INT64_MAX : -ns));
  // Three digits would round this to sixty seconds.
  if (ns >= 59'950'000'000 && ns < 60'000'000'000) ns = 60'000'000'000;
  if (ns >= 86'400'000'000'000) return fmt::format("{}d{}h", ns / 86'400'000'000'000, ns / 3'600'000'000'000 % 24);
  if (ns >= 3'600'000'000'000) return fmt::format("{}h{}m", ns / 3'600'000'000'000, ns / 60'000'000'000 % 60);
  if (ns >= 60'000'000'000) return fmt::format("{}m{}s", ns / 60'000'000'000, ns / 1'000'000'000 % 60);
  const auto small = [](double v, const char* unit) { return fmt::format("{:.3g}{}", v, unit); };
  const double d = static_cast<double>(ns);
  if (ns >= 999'500'000) return small(d / 1e9, "s");
  if (ns >= 999'500) return small(d / 1e6, "ms");
  if (ns >= 1'000) return small(d / 1e3, "us");
  return fmt::format("{}ns", ns);
}

std::string exact_duration(std::chrono::nanoseconds duration) {
  std::string text = format_duration(duration);
  const auto back = parse_duration(text);
  return back && *back == duration ? text : fmt::format("{}ns", duration.count());
}

}  // namespace ff
