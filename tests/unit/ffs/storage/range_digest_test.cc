#include "ffs/storage/range_digest.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

ChunkSummary chunk(std::uint64_t index, ChunkVersion version, std::uint32_t crc = 1) {
  return {.chunk = {InodeId{5}, index}, .version = version, .crc = crc, .length = 10};
}

RangeDigest digest_of(const std::vector<ChunkSummary>& chunks) {
  RangeDigest out;
  for (const ChunkSummary& one : chunks) out.add(one);
  return out;
}

TEST(RangeDigest, EveryFieldCounts) {
  const RangeDigest base = digest_of({chunk(1, 2)});
  EXPECT_EQ(base, digest_of({chunk(1, 2)}));
  EXPECT_NE(base, digest_of({chunk(2, 2)}));
  EXPECT_NE(base, digest_of({chunk(1, 3)}));
  EXPECT_NE(base, digest_of({chunk(1, 2, 9)}));
  ChunkSummary other = chunk(1, 2);
  other.length = 11;
  EXPECT_NE(base, digest_of({other}));
  other = chunk(1, 2);
  other.removed = true;
  EXPECT_NE(base, digest_of({other}));
  other = chunk(1, 2);
  other.bad = true;
  EXPECT_NE(base, digest_of({other}));
  other = chunk(1, 2);
  other.open = true;
  EXPECT_NE(base, digest_of({other}));
  EXPECT_NE(digest_of({}), base);
  EXPECT_NE(digest_of({chunk(1, 1), chunk(2, 1)}), digest_of({chunk(1, 1), chunk(3, 1)}));
}

TEST(RangeDigest, NextChunkCarriesIntoTheInode) {
  EXPECT_EQ(next_chunk({InodeId{3}, 4}), (ChunkId{InodeId{3}, 5}));
  EXPECT_EQ(next_chunk({InodeId{3}, UINT64_MAX}), (ChunkId{InodeId{4}, 0}));
}

TEST(Summarize, AnUpdateThatIsOnlyPendingIsNotThereUnlessAskedFor) {
  ChunkInfo info;
  info.chunk = {InodeId{5}, 1};
  info.pending = PendingInfo{.kind = UpdateKind::kRemove, .version = 1, .length = 7, .crc = 3};
  EXPECT_FALSE(summarize(info, false, false));
  const auto with = summarize(info, true, true);
  ASSERT_TRUE(with);
  EXPECT_EQ(with->version, 1u);
  EXPECT_EQ(with->crc, 3u);
  EXPECT_TRUE(with->removed);
  info.version = 4;
  EXPECT_EQ(summarize(info, false, false)->version, 4u);
}

TEST(Compare, FindsWhatIsMissingSurplusAndDifferent) {
  ChunkSummary rotten = chunk(5, 1);
  rotten.bad = true;
  const auto out =
      compare({chunk(1, 1), chunk(2, 2), chunk(4, 1), chunk(5, 1)}, {chunk(1, 1), chunk(2, 1), chunk(3, 9), rotten});
  ASSERT_EQ(out.size(), 4u);
  EXPECT_EQ(out[0].chunk.index, 2u);  // older there
  EXPECT_EQ(out[0].bytes, 10u);
  EXPECT_EQ(out[1].chunk.index, 3u);  // only there
  EXPECT_EQ(out[1].bytes, 0u);
  EXPECT_EQ(out[2].chunk.index, 4u);  // only here
  EXPECT_EQ(out[3].chunk.index, 5u);  // rotten there
}

TEST(Compare, EqualSidesDifferInNothing) {
  EXPECT_TRUE(compare({}, {}).empty());
  EXPECT_TRUE(compare({chunk(1, 1), chunk(2, 2)}, {chunk(1, 1), chunk(2, 2)}).empty());
}

}  // namespace
}  // namespace ff::ffs
