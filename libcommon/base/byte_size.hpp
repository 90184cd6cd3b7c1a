// The one parser and printer of byte counts.
//
// Accepted  "4096", "64KiB", "64K" (= KiB), "64KB" (= 1000), "1.5GiB", "2T"; case of the unit does not matter.
// Refused   negative, empty, unknown unit, more than 2^64-1, a fraction that is not a whole number of bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kGiB = 1024 * kMiB;

Result<std::uint64_t> parse_byte_size(std::string_view text);

// "64MiB" where exact in IEC units, else bytes with up to three significant digits: "1.46GiB".
std::string format_byte_size(std::uint64_t bytes);

// The same where that reads back as the same number, else plain bytes: for defaults and limits that are shown.
std::string exact_byte_size(std::uint64_t bytes);
// Decimal rate as people compare NICs and disks: "12.5GB/s".
std::string format_byte_rate(double bytes_per_second);

}  // namespace ff
