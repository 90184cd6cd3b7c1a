#include "ffbench/result/quantity.hpp"

#include <fmt/core.h>

#include <chrono>
#include <cmath>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::bench {
namespace {

// Three significant digits and a decimal prefix: "1.21M", "998", "0.0312".
std::string scaled(double value) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E"};
  std::size_t prefix = 0;
  // 999.5 would print as 1e+03.
  while (std::fabs(value) >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.3g}{}", value, kPrefixes[prefix]);
}

constexpr double kCountable = 9.2e18;  // what rounds to an integer of 64 bits

}  // namespace

std::string format_quantity(double value, std::string_view unit) {
  if (!std::isfinite(value)) return "-";
  const std::string_view sign = value < 0 ? "-" : "";
  const double magnitude = std::fabs(value);
  if (unit == "B/s") return fmt::format("{}{}", sign, format_byte_rate(magnitude));
  if (unit == "B" && magnitude < kCountable)
    return fmt::format("{}{}", sign, format_byte_size(static_cast<std::uint64_t>(std::llround(magnitude))));
  if (unit == "ns" && magnitude < kCountable) {
    // Fractions of a nanosecond are real for what is averaged over many operations.
    if (magnitude > 0 && magnitude < 100) return fmt::format("{}{:.3g}ns", sign, magnitude);
    return fmt::format("{}{}", sign, format_duration(std::chrono::nanoseconds(std::llround(magnitude))));
  }
  if (unit == "1/s" || unit == "FLOP/s") return scaled(value) + std::string(unit == "1/s" ? "/s" : unit);
  if (unit == "ratio") return fmt::format("{:.4g}", value);
  if (unit.empty()) return magnitude < 1e6 ? fmt::format("{:.6g}", value) : scaled(value);
  return fmt::format("{} {}", scaled(value), unit);
}

std::string format_spread(double value, Interval interval) {
  const double half = (interval.high - interval.low) / 2;
  if (!std::isfinite(half) || !std::isfinite(value)) return {};
  if (half == 0) return " ±0%";
  if (value == 0) return {};
  const double percent = 100 * half / std::fabs(value);
  return percent < 9.95 ? fmt::format(" ±{:.1f}%", percent) : fmt::format(" ±{:.0f}%", percent);
}

}  // namespace ff::bench
