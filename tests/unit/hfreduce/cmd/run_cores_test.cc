#include "hfreduce/run/cores.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce::run {
namespace {

TEST(CoreBlock, SharesOutAllCoresInOrder) {
  const std::vector<int> cores{0, 1, 2, 5, 6, 7, 8};
  EXPECT_EQ(core_block(cores, 0, 3), (std::vector<int>{0, 1}));
  EXPECT_EQ(core_block(cores, 1, 3), (std::vector<int>{2, 5}));
  EXPECT_EQ(core_block(cores, 2, 3), (std::vector<int>{6, 7, 8}));
  EXPECT_EQ(core_block(cores, 6, 7), (std::vector<int>{8}));
}

TEST(CoreBlock, LeavesASingleRankAndTooManyRanksToTheKernel) {
  EXPECT_TRUE(core_block({0, 1, 2}, 0, 1).empty());
  EXPECT_TRUE(core_block({0, 1, 2}, 3, 4).empty());
  EXPECT_TRUE(core_block({}, 0, 2).empty());
}

TEST(AllowedCores, AreThoseOfThisProcess) { EXPECT_FALSE(allowed_cores().empty()); }

}  // namespace
}  // namespace ff::hfreduce::run
