#include "hfreduce/net/frame.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "libcommon/base/crc32c.hpp"

namespace ff::hfreduce::net {
namespace {

FrameHeader sample() {
  return {.kind = FrameKind::kResult,
          .signature = 0x11223344,
          .seq = 0x0102030405060708,
          .index = 0xa1b2c3d4,
          .group_id = 7,
          .length = 65536};
}

// Changes one byte and makes the checksum right again, so that the field itself is what decode looks at.
FrameHeaderBytes with_byte(std::size_t at, int value) {
  FrameHeaderBytes bytes = encode_frame_header(sample());
  bytes[at] = static_cast<std::byte>(value);
  const std::uint32_t crc = crc32c(0, bytes.data(), 28);
  std::memcpy(bytes.data() + 28, &crc, 4);
  return bytes;
}

TEST(FrameHeader, HasTheBytesOfTheGrammar) {
  const unsigned char expected[28] = {0x48, 0x46, 1,    3,    0x44, 0x33, 0x22, 0x11, 8, 7, 6, 5, 4, 3,
                                      2,    1,    0xd4, 0xc3, 0xb2, 0xa1, 7,    0,    0, 0, 0, 0, 1, 0};
  const FrameHeaderBytes bytes = encode_frame_header(sample());
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
  EXPECT_EQ(*decode_frame_header(bytes), sample());
}

TEST(FrameHeader, RefusesEveryFlippedBit) {
  for (std::size_t bit = 0; bit < 8 * kFrameHeaderBytes; ++bit) {
    FrameHeaderBytes bytes = encode_frame_header(sample());
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    const auto decoded = decode_frame_header(bytes);
    ASSERT_FALSE(decoded) << bit;
    EXPECT_EQ(decoded.error().code(), Errc::kCorrupt);
  }
}

TEST(FrameHeader, RefusesFieldsOutOfRange) {
  EXPECT_FALSE(decode_frame_header(with_byte(2, 2))) << "version";
  EXPECT_FALSE(decode_frame_header(with_byte(3, 0))) << "kind below";
  EXPECT_FALSE(decode_frame_header(with_byte(3, 7))) << "kind above";
  EXPECT_FALSE(decode_frame_header(with_byte(3, 4))) << "token with a payload";
  EXPECT_FALSE(decode_frame_header(with_byte(27, 2))) << "payload of 32 MiB";
  EXPECT_TRUE(decode_frame_header(with_byte(3, 6)));
}

TEST(Preamble, RoundTripsAndRefusesEveryFlippedBit) {
  const Preamble preamble{.group_id = 9, .lane = 3, .from = 1, .to = 1249, .token = "5eed"};
  const PreambleBytes bytes = encode_preamble(preamble);
  EXPECT_EQ(*decode_preamble(bytes), preamble);
  for (std::size_t bit = 0; bit < 8 * kPreambleBytes; ++bit) {
    PreambleBytes flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ASSERT_FALSE(decode_preamble(flipped)) << bit;
  }
}

TEST(Preamble, CarriesTheLongestToken) {
  const Preamble preamble{.token = std::string(kTokenBytesMax, 'f')};
  EXPECT_EQ(decode_preamble(encode_preamble(preamble))->token, preamble.token);
}

TEST(EqualConstantTime, ComparesLikeEquality) {
  EXPECT_TRUE(equal_constant_time("", ""));
  EXPECT_TRUE(equal_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace ff::hfreduce::net
