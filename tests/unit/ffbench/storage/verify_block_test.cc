// Every way in which storage can change a block must get its own verdict, and nothing that is allowed may be called
// bad.
#include "ffbench/storage/verify_block.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kRun = 0x1122334455667788, kSeed = 7, kOffset = 40960;
constexpr std::size_t kBytes = 4096, kSector = kVerifySectorBytes;

std::vector<std::byte> version(std::uint64_t sequence, std::uint64_t offset = kOffset, std::uint64_t run = kRun,
                               std::size_t bytes = kBytes) {
  std::vector<std::byte> block(bytes);
  encode_block({run, kSeed, offset, sequence}, block);
  return block;
}

BlockFinding judge(std::span<const std::byte> block, std::uint64_t required, std::vector<std::uint64_t> allowed = {}) {
  return judge_block(block, {.run = kRun, .seed = kSeed, .offset = kOffset, .required = required, .allowed = allowed});
}

// Sectors [first, last) of `from` over those of `to`.
void copy_sectors(std::span<const std::byte> from, std::span<std::byte> to, std::size_t first, std::size_t last) {
  std::memcpy(to.data() + first * kSector, from.data() + first * kSector, (last - first) * kSector);
}

TEST(VerifyBlock, HasTheLayoutOfTheFormatNote) {
  const auto block = version(0x0102030405060708);
  EXPECT_EQ(std::memcmp(block.data(), "FFBVBLK1", 8), 0);
  const std::uint8_t fields[] = {
      1,    0,    64,   0,    0,    0x10, 0,    0,                                 // version, header, length
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,                              // run
      7,    0,    0,    0,    0,    0,    0,    0,    0, 0xa0, 0, 0, 0, 0, 0, 0,   // seed, offset
      8,    7,    6,    5,    4,    3,    2,    1,    0, 0,    0, 0, 0, 0, 0, 0};  // sequence, zeros
  EXPECT_EQ(std::memcmp(block.data() + 8, fields, sizeof fields), 0);
  for (std::size_t end = kSector; end <= kBytes; end += kSector)
    EXPECT_EQ(std::memcmp(block.data() + end - 8, "\x08\x07\x06\x05\x04\x03\x02\x01", 8), 0) << end;
  auto without = block;
  std::fill_n(without.begin() + 56, 4, std::byte{0});
  const std::uint32_t crc = crc32c(0, without.data(), without.size());
  std::uint32_t stored = 0;
  std::memcpy(&stored, block.data() + 56, 4);
  EXPECT_EQ(stored, crc);
}

TEST(VerifyBlock, DecodesWhatItEncodes) {
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    const BlockIdentity identity{rng.next(), rng.next(), rng.next(), 1 + rng.below(UINT64_MAX)};
    std::vector<std::byte> block(kSector * (1 + rng.below(9)));
    encode_block(identity, block);
    const auto found = decode_block(block);
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(*found, identity);
  }
}

TEST(VerifyBlock, NoTwoVersionsShareASector) {
  const auto a = version(1), b = version(2), c = version(1, kOffset + 4096), d = version(1, kOffset, kRun + 1);
  for (const auto* other : {&b, &c, &d})
    for (std::size_t at = 0; at < kBytes; at += kSector)
      EXPECT_NE(std::memcmp(a.data() + at, other->data() + at, kSector), 0) << at;
}

TEST(VerifyBlock, DecodeRefusesEveryFlippedBit) {
  const auto whole = version(9, kOffset, kRun, kSector);
  for (std::size_t bit = 0; bit < kSector * 8; ++bit) {
    auto block = whole;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_block(block)) << bit;
  }
}

TEST(JudgeBlock, TakesThePromisedAndNewerVersions) {
  EXPECT_EQ(judge(version(5), 5).verdict, BlockVerdict::kGood);
  EXPECT_EQ(judge(version(9), 5, {9, 14}).verdict, BlockVerdict::kGood);
  EXPECT_EQ(judge(version(9), 0, {9}).verdict, BlockVerdict::kGood);
}

TEST(JudgeBlock, AnOlderVersionIsLost) {
  const auto finding = judge(version(4), 5, {9});
  EXPECT_EQ(finding.verdict, BlockVerdict::kLost);
  EXPECT_NE(finding.detail.find("write 4"), std::string::npos) << finding.detail;
}

TEST(JudgeBlock, ZerosInPlaceOfAPromiseAreLost) {
  const std::vector<std::byte> zeros(kBytes);
  EXPECT_EQ(judge(zeros, 5).verdict, BlockVerdict::kLost);
  EXPECT_EQ(judge(zeros, 0).verdict, BlockVerdict::kUnwritten);
}

TEST(JudgeBlock, AMixtureOfAllowedVersionsIsNoFailure) {
  auto block = version(5);
  copy_sectors(version(9), block, 2, 5);
  copy_sectors(version(14), block, 5, 6);
  EXPECT_EQ(judge(block, 5, {9, 14}).verdict, BlockVerdict::kUnsynced);
  EXPECT_FALSE(is_failure(BlockVerdict::kUnsynced));
}

TEST(JudgeBlock, AMixtureWithAnOlderVersionIsTorn) {
  auto block = version(5);
  copy_sectors(version(3), block, 7, 8);
  const auto finding = judge(block, 5, {9});
  EXPECT_EQ(finding.verdict, BlockVerdict::kTorn);
  EXPECT_NE(finding.detail.find("sector 7 is of write 3"), std::string::npos) << finding.detail;
  // The first sector carries the header: a tear there is no different.
  block = version(5);
  copy_sectors(version(3), block, 0, 1);
  EXPECT_EQ(judge(block, 5).verdict, BlockVerdict::kTorn);
  block = version(5);
  std::fill_n(block.begin() + 2 * kSector, kSector, std::byte{0});
  EXPECT_EQ(judge(block, 5).verdict, BlockVerdict::kTorn);
}

TEST(JudgeBlock, AnyFlippedBitIsCorruptAndNamed) {
  Rng rng(3);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t byte = rng.below(kBytes);
    const auto bit = static_cast<unsigned>(rng.below(8));
    auto block = version(5);
    block[byte] ^= std::byte{1} << bit;
    const auto finding = judge(block, 5, {9});
    ASSERT_EQ(finding.verdict, BlockVerdict::kCorrupt) << byte << " " << bit << " " << finding.detail;
    ASSERT_EQ(finding.flips, (std::vector<BitFlip>{{byte, bit}}));
    ASSERT_EQ(finding.flipped_bits, 1u);
  }
}

TEST(JudgeBlock, AFlippedBitShowsInAnUnsyncedMixtureToo) {
  auto block = version(5);
  copy_sectors(version(9), block, 4, 8);
  block[6 * kSector + 11] ^= std::byte{0x40};
  const auto finding = judge(block, 5, {9});
  EXPECT_EQ(finding.verdict, BlockVerdict::kCorrupt);
  EXPECT_EQ(finding.flips, (std::vector<BitFlip>{{6 * kSector + 11, 6}}));
}

TEST(JudgeBlock, GarbageInOneSectorIsCorrupt) {
  auto block = version(5);
  Rng rng(4);
  for (std::size_t at = kSector; at < 2 * kSector; ++at) block[at] = static_cast<std::byte>(rng.next());
  EXPECT_EQ(judge(block, 5).verdict, BlockVerdict::kCorrupt);
}

TEST(JudgeBlock, ABlockOfAnotherPlaceIsMisplaced) {
  const auto elsewhere = version(5, kOffset + 8192);
  for (const std::uint64_t required : {5u, 0u}) EXPECT_EQ(judge(elsewhere, required).verdict, BlockVerdict::kMisplaced);
}

TEST(JudgeBlock, OtherRunsAndStrangersAreForeignWhereSomethingWasPromised) {
  const auto other = version(5, kOffset, kRun + 1);
  EXPECT_EQ(judge(other, 5).verdict, BlockVerdict::kForeign);
  EXPECT_EQ(judge(other, 0).verdict, BlockVerdict::kUnwritten);
  std::vector<std::byte> text(kBytes, std::byte{'x'});
  EXPECT_EQ(judge(text, 5).verdict, BlockVerdict::kForeign);
  EXPECT_EQ(judge(text, 0, {3}).verdict, BlockVerdict::kUnwritten);
}

TEST(JudgeBlock, AVersionThatTheJournalDoesNotKnowIsAhead) {
  EXPECT_EQ(judge(version(50), 5, {9}).verdict, BlockVerdict::kAhead);
}

TEST(JudgeBlock, WhateverTheBytesThereIsAVerdict) {
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    auto block = version(1 + rng.below(20));
    for (std::uint64_t n = rng.below(40); n > 0; --n) block[rng.below(kBytes)] = static_cast<std::byte>(rng.next());
    (void)judge(block, rng.below(20), {21, 22});
  }
}

}  // namespace
}  // namespace ff::bench
