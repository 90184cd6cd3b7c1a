#include "ffs/meta/records.hpp"

namespace ff::ffs {

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
}

Result<std::uint64_t> decode_count(std::string_view bytes, const char* what) {
  if (bytes.size() != 8) return fail(Errc::kCorrupt, fmt::format("{}: a counter of {} bytes", what, bytes.size()));
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::int64_t nanoseconds_of(const Timestamp& time) noexcept {
  return time.seconds() * kSecond + static_cast<std::int64_t>(time.nanoseconds());
}

Timestamp timestamp_of(std::int64_t nanoseconds) {
  Timestamp time;
  std::int64_t seconds = nanoseconds / kSecond;
  std::int64_t rest = nanoseconds % kSecond;
  if (rest < 0) seconds -= 1, rest += kSecond;
  time.set_seconds(seconds);
  time.set_nanoseconds(static_cast<std::uint32_t>(rest));
  return time;
}

}  // namespace ff::ffs
