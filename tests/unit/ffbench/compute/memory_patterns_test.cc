#include "ffbench/compute/memory_patterns.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace ff::bench {
namespace {

std::vector<std::uint64_t> filled(Pattern pattern, std::uint64_t first, std::size_t count) {
  std::vector<std::uint64_t> values(count);
  pattern.fill(first, values);
  return values;
}

TEST(Pattern, AddressIsTheByteOffset) {
  EXPECT_EQ(filled({Pattern::Kind::kAddress, false, 0}, 1000, 2), (std::vector<std::uint64_t>{8000, 8008}));
  EXPECT_EQ(filled({Pattern::Kind::kAddress, true, 0}, 1, 1), (std::vector<std::uint64_t>{0xffff'ffff'ffff'fff7}));
}

TEST(Pattern, WalkSetsOrClearsOneBitThatMovesWithTheWord) {
  EXPECT_EQ(filled({Pattern::Kind::kWalk, false, 0}, 62, 3), (std::vector<std::uint64_t>{1ull << 62, 1ull << 63, 1}));
  EXPECT_EQ(filled({Pattern::Kind::kWalk, true, 1}, 0, 1), (std::vector<std::uint64_t>{~2ull}));
}

TEST(Pattern, CheckerAlternates) {
  EXPECT_EQ(filled({Pattern::Kind::kChecker, false, 0}, 3, 2),
            (std::vector<std::uint64_t>{0xaaaa'aaaa'aaaa'aaaa, 0x5555'5555'5555'5555}));
}

TEST(Pattern, AValueDoesNotDependOnTheBlockItIsIn) {
  using enum Pattern::Kind;
  for (const Pattern::Kind kind : {kAddress, kWalk, kChecker, kRandom, kConstant}) {
    const Pattern pattern{kind, false, 12345};
    const auto whole = filled(pattern, 7, 100);
    EXPECT_EQ(filled(pattern, 50, 1)[0], whole[43]) << static_cast<int>(kind);
  }
}

TEST(Pattern, RandomWordsDifferBySeedAndPlace) {
  const auto one = filled({Pattern::Kind::kRandom, false, 1}, 0, 1000);
  const auto two = filled({Pattern::Kind::kRandom, false, 2}, 0, 1000);
  EXPECT_EQ(std::set<std::uint64_t>(one.begin(), one.end()).size(), 1000u);
  EXPECT_NE(one, two);
}

TEST(PhasesOfPass, EveryPositionOfTheWalkingBitComesUpOverTheNeededPasses) {
  std::set<std::uint64_t> positions;
  for (int pass = 0; pass < 8; ++pass) {
    for (const Phase& phase : phases_of_pass(pass, 8, 1)) {
      if (phase.name == "walk-1" && phase.action == Action::kWrite) positions.insert(phase.pattern.parameter);
    }
  }
  EXPECT_EQ(positions.size(), 64u);
  EXPECT_EQ(*positions.rbegin(), 63u);
}

TEST(PhasesOfPass, EveryPatternIsCheckedOnBothPaths) {
  std::set<std::pair<std::string_view, StorePath>> checked;
  for (const Phase& phase : phases_of_pass(0, 8, 1)) {
    if (phase.action == Action::kCheck) checked.insert({phase.name, phase.path});
  }
  EXPECT_EQ(checked.size(), 14u) << "seven patterns, two paths";
}

}  // namespace
}  // namespace ff::bench
