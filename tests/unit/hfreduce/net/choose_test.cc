// The table of net_engine.hpp: which algorithm a call takes, and chunks that both ends of a link cut alike.
#include "hfreduce/net/choose.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce::net {
namespace {

NetOptions group(int size, NetAlgorithm algorithm = NetAlgorithm::kAuto, bool deterministic = false) {
  return {.size = size, .algorithm = algorithm, .deterministic = deterministic};
}

constexpr auto kAllReduce = Collective::kAllReduce;

TEST(ChooseAlgorithm, TakesTheCheapestBySizeAndRanks) {
  EXPECT_EQ(choose_algorithm(group(2), kAllReduce, 32768), NetAlgorithm::kFlat);
  EXPECT_EQ(choose_algorithm(group(2), kAllReduce, 32769), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(3), kAllReduce, 10000), NetAlgorithm::kFlat);
  EXPECT_EQ(choose_algorithm(group(4), kAllReduce, 10000), NetAlgorithm::kRecursiveDoubling);
  EXPECT_EQ(choose_algorithm(group(8), kAllReduce, 65536), NetAlgorithm::kRecursiveDoubling);
  EXPECT_EQ(choose_algorithm(group(8), kAllReduce, 65537), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8), kAllReduce, 4), NetAlgorithm::kRecursiveDoubling);
  EXPECT_EQ(choose_algorithm(group(16), kAllReduce, 1 << 20), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(17), kAllReduce, 256 << 10), NetAlgorithm::kRecursiveDoubling);
  EXPECT_EQ(choose_algorithm(group(17), kAllReduce, 1 << 20), NetAlgorithm::kTree);
  EXPECT_EQ(choose_algorithm(group(1250), Collective::kAllGather, 1 << 20), NetAlgorithm::kDirect);
}

TEST(ChooseAlgorithm, DeterministicNeverCombinesInTreeOrRing) {
  EXPECT_EQ(choose_algorithm(group(64, NetAlgorithm::kAuto, true), kAllReduce, 1 << 20), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kTree, true), kAllReduce, 1 << 20), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kRing, true), kAllReduce, 1 << 20), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(64, NetAlgorithm::kAuto, true), Collective::kReduce, 1 << 20),
            NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(64, NetAlgorithm::kAuto, true), Collective::kBroadcast, 1 << 20),
            NetAlgorithm::kTree);
}

TEST(ChooseAlgorithm, FallsBackToDirectWhereTheWantedOneCannot) {
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kRing), Collective::kReduce, 64), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kFlat), Collective::kBroadcast, 64), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kTree), Collective::kReduceScatter, 64), NetAlgorithm::kDirect);
  EXPECT_EQ(choose_algorithm(group(8, NetAlgorithm::kTree), Collective::kReduce, 64), NetAlgorithm::kTree);
}

TEST(ChooseChunk, GivesEveryOwnerTheSameNumberOfWholeChunks) {
  for (const int n : {2, 3, 4, 8, 16})
    for (std::uint64_t bytes = 1; bytes <= std::uint64_t{1} << 30; bytes *= 4) {
      const std::uint64_t chunk = choose_chunk(group(n), NetAlgorithm::kDirect, kAllReduce, bytes);
      ASSERT_EQ(chunk % 64, 0u);
      ASSERT_LE(chunk, 256u << 10);
      const std::uint64_t chunks = (bytes + chunk - 1) / chunk;
      if (bytes >= 4096u * static_cast<unsigned>(n)) {
        ASSERT_EQ(chunks % static_cast<unsigned>(n), 0u) << n << " " << bytes << " " << chunk;
      }
    }
}

TEST(ChooseChunk, TakesTheOptionRoundedUp) {
  NetOptions options = group(4);
  options.chunk_bytes = 1000;
  EXPECT_EQ(choose_chunk(options, NetAlgorithm::kTree, kAllReduce, 1 << 20), 1024u);
}

TEST(ChooseChannels, UsesOneForSmallOrStreamedMessages) {
  NetOptions options = group(4);
  options.channels = 4;
  EXPECT_EQ(choose_channels(options, NetAlgorithm::kDirect, 64 << 20, false), 4);
  EXPECT_EQ(choose_channels(options, NetAlgorithm::kDirect, 512 << 10, false), 2);
  EXPECT_EQ(choose_channels(options, NetAlgorithm::kDirect, 1000, false), 1);
  EXPECT_EQ(choose_channels(options, NetAlgorithm::kDirect, 64 << 20, true), 1);
  EXPECT_EQ(choose_channels(options, NetAlgorithm::kFlat, 64 << 20, false), 1);
}

TEST(NetAlgorithmName, ParsesBack) {
  for (const char* name : {"auto", "flat", "rd", "direct", "tree", "ring"})
    EXPECT_EQ(net_algorithm_name(*parse_net_algorithm(name)), name);
  EXPECT_FALSE(parse_net_algorithm("RING"));
}

}  // namespace
}  // namespace ff::hfreduce::net
