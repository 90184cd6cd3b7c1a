#include "hfreduce/host_groups.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce {
namespace {

HostGroups groups(std::vector<std::string> ids) { return group_by_host(ids); }

TEST(HostGroups, HostsAreOrderedByTheirLowestRank) {
  const HostGroups g = groups({"b", "a", "b", "c", "a"});
  EXPECT_EQ(g.hosts, (std::vector<std::vector<int>>{{0, 2}, {1, 4}, {3}}));
  EXPECT_EQ(g.host_of, (std::vector<int>{0, 1, 0, 2, 1}));
  EXPECT_EQ(g.local_rank_of, (std::vector<int>{0, 0, 1, 0, 1}));
  EXPECT_EQ(g.leaders(), (std::vector<int>{0, 1, 3}));
  EXPECT_EQ(g.local_size(4), 2);
  EXPECT_FALSE(g.one_rank_each());
}

TEST(HostGroups, AlignedMeansTheHierarchyIsThePairwiseOrder) {
  EXPECT_TRUE(groups({"a", "a", "b", "b"}).aligned());
  EXPECT_TRUE(groups({"a", "b", "c"}).aligned());
  EXPECT_FALSE(groups({"a", "b", "a", "b"}).aligned()) << "interleaved";
  EXPECT_FALSE(groups({"a", "a", "a", "b", "b", "b"}).aligned()) << "three is no power of two";
  EXPECT_FALSE(groups({"a", "a", "b"}).aligned()) << "unequal";
}

}  // namespace
}  // namespace ff::hfreduce
