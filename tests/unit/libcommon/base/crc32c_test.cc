// Both paths against a third: the definition of the checksum, bit by bit.
#include "libcommon/base/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ff {
namespace {

// Reflected polynomial division, one bit at a time (RFC 3720: polynomial 0x1EDC6F41, reversed 0x82F63B78).
std::uint32_t by_definition(const unsigned char* data, std::size_t bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (std::size_t i = 0; i < bytes; ++i)
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t in = (data[i] >> bit) & 1u;
      const std::uint32_t out = (crc & 1u) ^ in;
      crc >>= 1;
      if (out != 0) crc ^= 0x82f63b78u;
    }
  return crc ^ 0xffffffffu;
}

TEST(Crc32c, HasTheCheckValue) {
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c_table(0, "123456789", 9), 0xe3069283u);
}

// RFC 3720, appendix B.4.
TEST(Crc32c, HasThePublishedValues) {
  std::vector<unsigned char> bytes(32, 0);
  EXPECT_EQ(crc32c(0, bytes.data(), 32), 0x8a9136aau);
  bytes.assign(32, 0xff);
  EXPECT_EQ(crc32c(0, bytes.data(), 32), 0x62a8ab43u);
  for (unsigned i = 0; i < 32; ++i) bytes[i] = static_cast<unsigned char>(i);
  EXPECT_EQ(crc32c(0, bytes.data(), 32), 0x46dd794eu);
}

TEST(Crc32c, PathsAgreeAtEveryLengthAndAlignment) {
  std::mt19937_64 random(3);
  std::vector<unsigned char> buffer(8192 + 64);
  for (auto& byte : buffer) byte = static_cast<unsigned char>(random());
  for (int i = 0; i < 2000; ++i) {
    const std::size_t bytes = i < 300 ? static_cast<std::size_t>(i) : random() % 8192;
    const unsigned char* at = buffer.data() + random() % 64;
    const std::uint32_t expected = by_definition(at, bytes);
    ASSERT_EQ(crc32c(0, at, bytes), expected) << bytes;
    ASSERT_EQ(crc32c_table(0, at, bytes), expected) << bytes;
    const std::size_t cut = bytes == 0 ? 0 : random() % bytes;
    ASSERT_EQ(crc32c(crc32c(0, at, cut), at + cut, bytes - cut), expected) << bytes << " cut at " << cut;
    ASSERT_EQ(crc32c_table(crc32c_table(0, at, cut), at + cut, bytes - cut), expected) << bytes << " cut at " << cut;
  }
}

TEST(Crc32c, OfNothingIsTheStartValue) { EXPECT_EQ(crc32c(0x12345678, nullptr, 0), 0x12345678u); }

}  // namespace
}  // namespace ff
