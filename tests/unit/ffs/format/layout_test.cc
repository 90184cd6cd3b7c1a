// Where chunks lie: golden values, computed apart in Python from the description in layout.hpp (splitmix64 of the
// inode), because a file that was written must be found again by every later version.
#include "ffs/format/layout.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

constexpr Layout kLayout{.table = TableId{1}, .table_version = 1, .chunk_bytes = 65536, .stripe = 4};

struct Golden {
  std::uint64_t inode, chunk;
  std::uint32_t stripe;
  std::uint64_t chains, expected;
};
// Chains are numbered from 100.
constexpr Golden kGolden[] = {
    {1u, 0u, 1u, 1u, 100u},
    {1u, 0u, 4u, 10u, 105u},
    {1u, 3u, 4u, 10u, 108u},
    {1u, 4u, 4u, 10u, 105u},
    {2u, 0u, 4u, 10u, 100u},
    {12345u, 7u, 3u, 5u, 100u},
    {9223372036854775808u, 1u, 16u, 7u, 100u},
    {99u, 6u, 16u, 7u, 101u},
    {1000001u, 250u, 8u, 1000u, 957u},
};

TEST(Layout, PlacesChunksAsItAlwaysDid) {
  for (const Golden& golden : kGolden) {
    std::vector<ChainId> chains;
    for (std::uint64_t i = 0; i < golden.chains; ++i) chains.push_back(ChainId{100 + i});
    Layout layout = kLayout;
    layout.stripe = golden.stripe;
    EXPECT_EQ(number(chain_of(layout, InodeId{golden.inode}, golden.chunk, chains)), golden.expected)
        << golden.inode << "/" << golden.chunk;
  }
}

TEST(Layout, SplitsAtChunkBordersWithoutGaps) {
  const auto extents = split(kLayout, 65530, 65536 + 10);
  ASSERT_TRUE(extents.has_value());
  ASSERT_EQ(extents->size(), 3u);
  EXPECT_EQ((*extents)[0].chunk_index, 0u);
  EXPECT_EQ((*extents)[0].offset, 65530u);
  EXPECT_EQ((*extents)[0].bytes, 6u);
  EXPECT_EQ((*extents)[1].chunk_index, 1u);
  EXPECT_EQ((*extents)[1].offset, 0u);
  EXPECT_EQ((*extents)[1].bytes, 65536u);
  EXPECT_EQ((*extents)[1].buffer_offset, 6u);
  EXPECT_EQ((*extents)[2].chunk_index, 2u);
  EXPECT_EQ((*extents)[2].bytes, 4u);
  EXPECT_EQ((*extents)[2].buffer_offset, 65542u);
}

TEST(Layout, SplitsNothingAndRefusesWhatIsBeyondTheLargestFile) {
  EXPECT_TRUE(split(kLayout, 12345, 0)->empty());
  EXPECT_EQ(split(kLayout, kFileBytesMax - 1, 1)->size(), 1u);
  EXPECT_EQ(split(kLayout, kFileBytesMax, 1).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(split(kLayout, ~std::uint64_t{0}, 2).error().code(), Errc::kInvalidArgument);
}

TEST(Layout, ChecksItsFields) {
  EXPECT_TRUE(check(kLayout).has_value());
  Layout bad = kLayout;
  bad.chunk_bytes = 65537;
  EXPECT_EQ(check(bad).error().code(), Errc::kInvalidArgument);
  bad = kLayout;
  bad.stripe = 0;
  EXPECT_FALSE(check(bad).has_value());
  bad = kLayout;
  bad.table_version = 0;
  EXPECT_FALSE(check(bad).has_value());
}

}  // namespace
}  // namespace ff::ffs
