#include "hfreduce/shm/window_allocator.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
using Block = WindowAllocator::Block;

TEST(WindowAllocator, RoundsSmallBlocksToCacheLines) {
  WindowAllocator a(kMiB);
  EXPECT_EQ(a.take(0), (Block{0, 64}));
  EXPECT_EQ(a.take(1), (Block{64, 64}));
  EXPECT_EQ(a.take(65), (Block{128, 128}));
}

TEST(WindowAllocator, PutsLargeBlocksOnHugePages) {
  WindowAllocator a(16 * kMiB);
  EXPECT_EQ(a.take(64), (Block{0, 64}));
  EXPECT_EQ(a.take(2 * kMiB), (Block{2 * kMiB, 2 * kMiB}));
  EXPECT_EQ(a.take(2 * kMiB + 1), (Block{4 * kMiB, 4 * kMiB}));
  EXPECT_EQ(a.take(64), (Block{64, 64})) << "the skipped range is used for small blocks";
}

TEST(WindowAllocator, RefusesWhatDoesNotFitAndStaysWhole) {
  WindowAllocator a(4 * kMiB);
  EXPECT_FALSE(a.take(4 * kMiB + 1));
  EXPECT_FALSE(a.take(~0ULL));
  EXPECT_EQ(a.free_bytes(), 4 * kMiB);
  EXPECT_TRUE(a.take(4 * kMiB));
  EXPECT_FALSE(a.take(1));
}

TEST(WindowAllocator, JoinsFreeNeighboursInAnyOrder) {
  for (const auto& order : std::vector<std::vector<std::uint64_t>>{{0, 64, 128}, {128, 64, 0}, {0, 128, 64}}) {
    WindowAllocator a(192);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(a.take(64));
    for (const std::uint64_t offset : order) EXPECT_TRUE(a.give(offset));
    EXPECT_EQ(a.free_ranges(), 1U);
    EXPECT_EQ(a.free_around(100), (Block{0, 192}));
  }
}

TEST(WindowAllocator, KnowsOnlyStartsOfTakenBlocks) {
  WindowAllocator a(kMiB);
  ASSERT_TRUE(a.take(256));
  EXPECT_FALSE(a.give(64));
  EXPECT_TRUE(a.give(0));
  EXPECT_FALSE(a.give(0));
}

// Model: a byte map. Blocks never overlap, and giving all back leaves one range.
TEST(WindowAllocator, NeverHandsOutAByteTwice) {
  constexpr std::uint64_t kCapacity = 64 * kMiB;
  WindowAllocator a(kCapacity);
  std::map<std::uint64_t, std::uint64_t> live;
  Rng rng(7);
  for (int step = 0; step < 4000; ++step) {
    if (rng.below(2) == 0 || live.empty()) {
      const std::uint64_t wanted = rng.below(8) == 0 ? 2 * kMiB + rng.below(6 * kMiB) : rng.below(100'000);
      const auto block = a.take(wanted);
      if (!block) continue;
      ASSERT_GE(block->bytes, wanted);
      ASSERT_LE(block->offset + block->bytes, kCapacity);
      ASSERT_EQ(block->offset % (wanted >= 2 * kMiB ? 2 * kMiB : 64), 0U);
      const auto after = live.lower_bound(block->offset);
      if (after != live.end()) ASSERT_LE(block->offset + block->bytes, after->first);
      if (after != live.begin()) ASSERT_LE(std::prev(after)->first + std::prev(after)->second, block->offset);
      live.emplace(block->offset, block->bytes);
    } else {
      auto victim = live.begin();
      std::advance(victim, static_cast<std::ptrdiff_t>(rng.below(live.size())));
      ASSERT_TRUE(a.give(victim->first));
      live.erase(victim);
    }
  }
  for (const auto& [offset, bytes] : live) ASSERT_TRUE(a.give(offset));
  EXPECT_EQ(a.free_ranges(), 1U);
  EXPECT_EQ(a.free_bytes(), kCapacity);
}

}  // namespace
}  // namespace ff::hfreduce::shm
