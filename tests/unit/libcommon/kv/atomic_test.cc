#include "libcommon/kv/atomic.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

TEST(Counter, IsEightBytesLittleEndian) {
  EXPECT_EQ(encode_counter(0x0102), std::string("\x02\x01\0\0\0\0\0\0", 8));
  EXPECT_EQ(decode_counter("k", "\x01\x02\x03\x04\x05\x06\x07\x08"), 0x0807060504030201ULL);
  EXPECT_EQ(decode_counter("k", std::nullopt), 0U);
  for (const std::size_t bytes : {0U, 7U, 9U}) {
    const auto refused = decode_counter("k", std::string(bytes, 'x'));
    ASSERT_FALSE(refused.has_value()) << bytes;
    EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
    EXPECT_NE(refused.error().message().find("'k'"), std::string::npos);
  }
}

TEST(Atomic, ComputesInOrder) {
  EXPECT_EQ(apply_atomic(~0ULL, {Atomic::kAdd, 1}), 0U);
  EXPECT_EQ(apply_atomic(5, {Atomic::kMax, 9}), 9U);
  EXPECT_EQ(apply_atomic(5, {Atomic::kMin, 9}), 5U);
  // (0 + 10) capped at 7, plus 1.
  EXPECT_EQ(apply_atomics("k", std::nullopt, {{Atomic::kAdd, 10}, {Atomic::kMin, 7}, {Atomic::kAdd, 1}}),
            encode_counter(8));
}

}  // namespace
}  // namespace ff::kv
