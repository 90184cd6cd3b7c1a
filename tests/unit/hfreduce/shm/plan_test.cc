#include "hfreduce/shm/plan.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ff::hfreduce::shm {
namespace {

OpDesc op_of(Collective kind, std::uint64_t count, int root = -1) {
  OpDesc op;
  op.kind = kind;
  op.dtype = DType::kFloat32;
  op.count = count;
  op.root = root;
  return op;
}

TEST(Plan, KnowsTheExtentOfEachRanksBuffers) {
  Plan plan;
  plan.prepare(op_of(Collective::kReduce, 10, 1), 0, 3);
  EXPECT_EQ(plan.send_extent(), 40U);
  EXPECT_EQ(plan.recv_extent(), 0U) << "only the root receives";
  plan.prepare(op_of(Collective::kReduce, 10, 1), 1, 3);
  EXPECT_EQ(plan.recv_extent(), 40U);
  plan.prepare(op_of(Collective::kAllGather, 10), 2, 3);
  EXPECT_EQ(plan.send_extent(), 40U);
  EXPECT_EQ(plan.recv_extent(), 120U);
  EXPECT_EQ(plan.slot_bytes(), 40U);
  EXPECT_EQ(plan.total_bytes(), 120U);
}

TEST(Plan, CutsEveryByteOnce) {
  Plan plan;
  plan.prepare(op_of(Collective::kReduceScatter, 100), 0, 3);  // 3 segments of 400 bytes
  for (const ChunkOrder order : {ChunkOrder::kByHome, ChunkOrder::kInterleaved}) {
    plan.cut(100, order);  // rounded up to 128
    ASSERT_EQ(plan.chunks().size(), 12U);
    std::vector<int> covered(1200);
    for (const Chunk& c : plan.chunks()) {
      EXPECT_LE(c.bytes, 128U);
      EXPECT_EQ(c.send_offset, c.recv_offset + 400 * static_cast<std::uint64_t>(c.destination));
      for (std::uint64_t i = 0; i < c.bytes; ++i) ++covered[c.send_offset + i];
    }
    EXPECT_EQ(covered, std::vector<int>(1200, 1));
  }
}

TEST(Plan, OrdersByHomeOrInTurn) {
  Plan plan;
  plan.prepare(op_of(Collective::kAllToAll, 32), 0, 2);  // 4 segments of 128 bytes
  plan.cut(64, ChunkOrder::kByHome);
  std::vector<int> homes;
  for (const Chunk& c : plan.chunks()) homes.push_back(c.destination);
  EXPECT_EQ(homes, (std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1}));
  plan.prepare(op_of(Collective::kAllGather, 32), 0, 2);  // 2 segments of 128 bytes
  plan.cut(64, ChunkOrder::kInterleaved);
  std::vector<int> sources;
  for (const Chunk& c : plan.chunks()) sources.push_back(c.source);
  EXPECT_EQ(sources, (std::vector<int>{0, 1, 0, 1}));
}

TEST(Plan, ForgetsTheLastCallWhenTheShapeChanges) {
  Plan plan;
  plan.prepare(op_of(Collective::kAllReduce, 100), 0, 2);
  plan.cut(64, ChunkOrder::kByHome);
  EXPECT_EQ(plan.chunks().size(), 7U);
  plan.prepare(op_of(Collective::kAllReduce, 16), 0, 2);
  plan.cut(64, ChunkOrder::kByHome);
  EXPECT_EQ(plan.chunks().size(), 1U);
  plan.prepare(op_of(Collective::kAllReduce, 0), 0, 2);
  plan.cut(64, ChunkOrder::kByHome);
  EXPECT_TRUE(plan.chunks().empty());
}

}  // namespace
}  // namespace ff::hfreduce::shm
