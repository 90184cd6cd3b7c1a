#include "libcommon/kv/store_record.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

// The bytes on disk. They never change: a store of today is read by every later program. The last four are the CRC-32C
// (reflected polynomial 0x82f63b78) of the first twelve, worked out apart from this code.
const std::string kGolden("FK\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01\xff\x42\xa2\x46", kRecordBytes);

TEST(StoreRecord, IsEncodedAsEver) {
  EXPECT_EQ(encode_record(RecordKind::kLastVersion, 0x0102030405060708ULL), kGolden);
  EXPECT_EQ(decode_record(RecordKind::kLastVersion, kGolden), 0x0102030405060708ULL);
}

TEST(StoreRecord, EveryDamagedBitIsSeen) {
  for (std::size_t bit = 0; bit < kRecordBytes * 8; ++bit) {
    std::string damaged = kGolden;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const auto decoded = decode_record(RecordKind::kLastVersion, damaged);
    ASSERT_FALSE(decoded.has_value()) << bit;
    EXPECT_EQ(decoded.error().code(), Errc::kCorrupt);
  }
}

TEST(StoreRecord, RefusesOtherLengthsAndKinds) {
  EXPECT_FALSE(decode_record(RecordKind::kLastVersion, "").has_value());
  EXPECT_FALSE(decode_record(RecordKind::kLastVersion, kGolden + "x").has_value());
  EXPECT_FALSE(decode_record(RecordKind::kLastVersion, kGolden.substr(0, 15)).has_value());
  EXPECT_FALSE(decode_record(RecordKind::kFormat, kGolden).has_value());
}

}  // namespace
}  // namespace ff::kv
