#include "libcommon/base/crc32c.hpp"

#include <array>
#include <climits>

#ifdef FF_HAVE_ISAL
#include <isa-l/crc.h>
#endif

namespace ff {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1) ? 0x82f63b78u : 0);
    table[i] = c;
  }
  return table;
}
constexpr auto kTable = make_table();

}  // namespace

std::uint32_t crc32c_table(std::uint32_t crc, const void* data, std::size_t bytes) noexcept {
  const auto* p = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (std::size_t i = 0; i < bytes; ++i) crc = kTable[(crc ^ p[i]) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t bytes) noexcept {
#ifdef FF_HAVE_ISAL
  // ISA-L takes an int length; initial and final inversion are the caller's.
  auto* p = static_cast<unsigned char*>(const_cast<void*>(data));
  crc = ~crc;
  while (bytes > 0) {
    const int part = bytes > INT_MAX ? INT_MAX : static_cast<int>(bytes);
    crc = crc32_iscsi(p, part, crc);
    p += part;
    bytes -= static_cast<std::size_t>(part);
  }
  return ~crc;
#else
  return crc32c_table(crc, data, bytes);
#endif
}

}  // namespace ff
