#include "libcommon/net/exposure_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::net {
namespace {

Errc code(const Result<std::shared_ptr<Region>>& result) { return result ? Errc::kInternal : result.error().code(); }

TEST(ExposureTable, FindsARangeOfARegionToItsLastByte) {
  ExposureTable table;
  std::array<std::byte, 100> memory{};
  const auto region = table.add(7, memory, Access::kBoth);
  ASSERT_TRUE(region);
  EXPECT_EQ(*table.find(7, 0, 100, Access::kPush), region);
  EXPECT_EQ(*table.find(7, 99, 1, Access::kPull), region);
  EXPECT_EQ(*table.find(7, 100, 0, Access::kPush), region);
  EXPECT_EQ(code(table.find(7, 99, 2, Access::kPush)), Errc::kInvalidArgument);
  EXPECT_EQ(code(table.find(7, 101, 0, Access::kPush)), Errc::kInvalidArgument);
  EXPECT_EQ(code(table.find(7, 1, ~std::uint64_t{0} - 1, Access::kPush)), Errc::kInvalidArgument);
  EXPECT_EQ(code(table.find(8, 0, 1, Access::kPush)), Errc::kNotFound);
}

TEST(ExposureTable, KeepsToTheAccessThatWasGranted) {
  ExposureTable table;
  std::array<std::byte, 10> memory{};
  ASSERT_TRUE(table.add(1, memory, Access::kPush));
  ASSERT_TRUE(table.add(2, memory, Access::kPull));
  EXPECT_TRUE(table.find(1, 0, 10, Access::kPush));
  EXPECT_EQ(code(table.find(1, 0, 10, Access::kPull)), Errc::kPermission);
  EXPECT_TRUE(table.find(2, 0, 10, Access::kPull));
  EXPECT_EQ(code(table.find(2, 0, 10, Access::kPush)), Errc::kPermission);
}

TEST(ExposureTable, RefusesAKeyThatIsTakenAndRemovesOnlyItsOwn) {
  ExposureTable table;
  std::array<std::byte, 10> memory{};
  const auto first = table.add(1, memory, Access::kBoth);
  EXPECT_EQ(table.add(1, memory, Access::kBoth), nullptr);
  table.remove(*first);
  table.remove(*first);
  EXPECT_EQ(code(table.find(1, 0, 1, Access::kPush)), Errc::kNotFound);
  const auto second = table.add(1, memory, Access::kBoth);
  table.remove(*first);  // an old handle does not reach the new region of the same key
  EXPECT_EQ(*table.find(1, 0, 1, Access::kPush), second);
}

TEST(ArrivedRanges, CountsEachByteOnce) {
  // Against a plain array of flags, with ranges that overlap, touch and repeat.
  Rng rng(5);
  for (int round = 0; round < 50; ++round) {
    ArrivedRanges ranges;
    std::vector<bool> seen(500);
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t begin = rng.below(480), end = begin + rng.below(20);
      ranges.add(begin, end);
      for (std::uint64_t at = begin; at < end; ++at) seen[at] = true;
      ASSERT_EQ(ranges.bytes(), static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), true)));
    }
  }
}

TEST(ArrivedRanges, HoldsABoundedNumberOfRanges) {
  ArrivedRanges ranges;
  for (std::uint64_t i = 0; i < 2 * ArrivedRanges::kRangesMax; ++i) ranges.add(4 * i, 4 * i + 1);
  EXPECT_EQ(ranges.bytes(), ArrivedRanges::kRangesMax);
  ranges.add(0, 4 * ArrivedRanges::kRangesMax);  // touches those that are known
  EXPECT_EQ(ranges.bytes(), 4 * ArrivedRanges::kRangesMax);
}

}  // namespace
}  // namespace ff::net
