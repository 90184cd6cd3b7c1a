#include "libcommon/base/byte_size.hpp"

#include <fmt/core.h>

#include <cctype>
#include <cmath>
#include <optional>

namespace ff {
namespace {

std::optional<std::uint64_t> unit_of(std::string_view unit) {
  std::string u;
  for (char c : unit) u.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  if (u.empty() || u == "b") return 1;
  const std::string_view letters = "kmgtpe";
  auto power = letters.find(u[0]);
  if (power == std::string_view::npos) return std::nullopt;
  std::string_view rest = std::string_view(u).substr(1);
  std::uint64_t base = 0;
  if (rest.empty() || rest == "ib" || rest == "i")
    base = 1024;
  else if (rest == "b")
    base = 1000;
  else
    return std::nullopt;
  std::uint64_t factor = 1;
  for (std::size_t i = 0; i <= power; ++i) factor *= base;
  return factor;
}

std::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not a size: {} (write 4096, 64KiB, 1.5GiB or 64MB)", text, why));
}

}  // namespace

Result<std::uint64_t> parse_byte_size(std::string_view text) {
  std::size_t i = 0;
  unsigned __int128 whole = 0;
  constexpr unsigned __int128 kMax = UINT64_MAX;
  while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i]))) {
    whole = whole * 10 + static_cast<unsigned>(text[i++] - '0');
    if (whole > kMax) return refuse(text, "larger than 2^64-1");
  }
  const std::size_t whole_digits = i;
  unsigned __int128 fraction = 0, scale = 1;
  if (i < text.size() && text[i] == '.') {
    ++i;
    const std::size_t start = i;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i]))) {
      if (i - start >= 12) return refuse(text, "more than 12 decimals");
      fraction = fraction * 10 + static_cast<unsigned>(text[i++] - '0');
      scale *= 10;
    }
    if (i == start) return refuse(text, "no digits after the point");
  }
  if (whole_digits == 0) return refuse(text, text.starts_with('-') ? "negative" : "no number");
  auto unit = unit_of(text.substr(i));
  if (!unit) return refuse(text, "unknown unit");
  const unsigned __int128 scaled = fraction * *unit;
  if (scaled % scale != 0) return refuse(text, "not a whole number of bytes");
  const unsigned __int128 bytes = whole * *unit + scaled / scale;
  if (bytes > kMax) return refuse(text, "larger than 2^64-1");
  return static_cast<std::uint64_t>(bytes);
}

std::string format_byte_size(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  int unit = 0;
  double value = static_cast<double>(bytes);
  std::uint64_t exact = bytes;
  bool is_exact = true;
  while (value >= 1024 && unit < 6) {
    is_exact = is_exact && exact % 1024 == 0;
    exact /= 1024;
    value /= 1024;
    ++unit;
  }
  // What would round to 1024 of a unit is one of the next.
  if (!is_exact && value >= 1023.5 && unit < 6) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0 || is_exact) return fmt::format("{}{}", exact, kUnits[unit]);
  return fmt::format("{:.{}f}{}", value, value >= 100 ? 0 : value >= 10 ? 1 : 2, kUnits[unit]);
}

std::string exact_byte_size(std::uint64_t bytes) {
  std::string text = format_byte_size(bytes);
  const auto back = parse_byte_size(text);
  return back && *back == bytes ? text : fmt::format("{}", bytes);
}

std::string format_byte_rate(double bytes_per_second) {
  static constexpr const char* kUnits[] = {"B/s", "KB/s", "MB/s", "GB/s", "TB/s"};
  int unit = 0;
  while (bytes_per_second >= 999.5 && unit < 4) {
    bytes_per_second /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", bytes_per_second,
                     bytes_per_second >= 100  ? 0
                     : bytes_per_second >= 10 ? 1
                                              : 2,
                     kUnits[unit]);
}

}  // namespace ff
