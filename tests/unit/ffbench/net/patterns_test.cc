#include "ffbench/net/patterns.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::bench {
namespace {

TEST(Patterns, SizesAreReadInOrderAndChecked) {
  const auto sizes = parse_sizes("64K,1,1MiB", 1u << 20);
  ASSERT_TRUE(sizes);
  EXPECT_EQ(*sizes, (std::vector<std::uint64_t>{65536, 1, 1048576}));
  for (const char* bad : {"", "1,,2", "0", "2MiB", "1K,1024", "x", "-1"})
    EXPECT_FALSE(parse_sizes(bad, 1u << 20)) << bad;
}

TEST(Patterns, ASweepGrowsByTheFactorUpToItsEnd) {
  EXPECT_EQ(*sweep_sizes(1, 10, 2), (std::vector<std::uint64_t>{1, 2, 4, 8}));
  EXPECT_EQ(*sweep_sizes(5, 5, 2), (std::vector<std::uint64_t>{5}));
  EXPECT_EQ(sweep_sizes(1, UINT64_MAX, 2)->size(), 64u);  // and does not overflow
  EXPECT_FALSE(sweep_sizes(0, 5, 2));
  EXPECT_FALSE(sweep_sizes(6, 5, 2));
  EXPECT_FALSE(sweep_sizes(1, 5, 1));
}

TEST(Patterns, AMeshHasEveryOrderedPairOnce) {
  for (const std::size_t hosts : {2, 3, 4, 5, 8}) {
    for (const bool at_once : {false, true}) {
      std::set<Pair> seen;
      for (const auto& round : mesh_rounds(hosts, at_once)) {
        std::set<std::size_t> busy;
        for (const auto& [from, to] : round) {
          EXPECT_TRUE(seen.insert({from, to}).second) << hosts << ": " << from << " -> " << to << " twice";
          EXPECT_TRUE(busy.insert(from).second && busy.insert(to).second) << hosts << ": a host in two pairs at once";
          EXPECT_LT(from, hosts);
          EXPECT_LT(to, hosts);
          EXPECT_NE(from, to);
        }
      }
      EXPECT_EQ(seen.size(), hosts * (hosts - 1)) << hosts << at_once;
    }
  }
  // Four hosts: two pairs in each of 3 x 2 rounds.
  EXPECT_EQ(mesh_rounds(4, true).size(), 6u);
}

TEST(Patterns, NamesAreWordsBetweenCommas) {
  EXPECT_EQ(*parse_names("a,b-1,c"), (std::vector<std::string>{"a", "b-1", "c"}));
  for (const char* bad : {"", ",", "a,", ",a", "a,a"}) EXPECT_FALSE(parse_names(bad)) << bad;
}

}  // namespace
}  // namespace ff::bench
