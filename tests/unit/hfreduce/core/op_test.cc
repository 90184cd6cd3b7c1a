// Segments are the meaning of every collective: executing them literally on small arrays must give its definition.
#include "hfreduce/op.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::hfreduce {
namespace {

using Buffers = std::vector<std::vector<int>>;

// Runs the segments with plain loops: the sum for kAll sources.
void execute(const std::vector<Segment>& segments, const Buffers& send, Buffers& recv) {
  const int n = static_cast<int>(send.size());
  for (const Segment& s : segments) {
    ASSERT_EQ(s.bytes % 4, 0u);
    for (std::uint64_t i = 0; i < s.bytes / 4; ++i) {
      int value = 0;
      for (int r = 0; r < n; ++r)
        if (s.source == Segment::kAll || s.source == r)
          value += send[static_cast<std::size_t>(r)].at(s.send_offset / 4 + i);
      for (int r = 0; r < n; ++r)
        if (s.destination == Segment::kAll || s.destination == r)
          recv[static_cast<std::size_t>(r)].at(s.recv_offset / 4 + i) = value;
    }
  }
}

OpDesc op_of(Collective kind, std::uint64_t count, int root = -1) {
  OpDesc op;
  op.kind = kind;
  op.dtype = DType::kInt32;
  op.count = count;
  op.root = root;
  return op;
}

constexpr int kRanks = 5;
constexpr std::uint64_t kCount = 3;

int value(int rank, std::uint64_t i) { return rank * 1000 + static_cast<int>(i); }

Buffers filled(std::uint64_t count) {
  Buffers b(kRanks, std::vector<int>(count));
  for (int r = 0; r < kRanks; ++r)
    for (std::uint64_t i = 0; i < count; ++i) b[static_cast<std::size_t>(r)][i] = value(r, i);
  return b;
}

TEST(Segments, ReduceScatterGivesEachRankItsSum) {
  Buffers recv(kRanks, std::vector<int>(kCount, -1));
  execute(segments_of(op_of(Collective::kReduceScatter, kCount), kRanks), filled(kCount * kRanks), recv);
  for (int p = 0; p < kRanks; ++p)
    for (std::uint64_t i = 0; i < kCount; ++i) {
      int want = 0;
      for (int r = 0; r < kRanks; ++r) want += value(r, static_cast<std::uint64_t>(p) * kCount + i);
      EXPECT_EQ(recv[static_cast<std::size_t>(p)][i], want);
    }
}

TEST(Segments, AllToAllIsATranspose) {
  Buffers recv(kRanks, std::vector<int>(kCount * kRanks, -1));
  execute(segments_of(op_of(Collective::kAllToAll, kCount), kRanks), filled(kCount * kRanks), recv);
  for (int p = 0; p < kRanks; ++p)
    for (int r = 0; r < kRanks; ++r)
      for (std::uint64_t i = 0; i < kCount; ++i)
        EXPECT_EQ(recv[static_cast<std::size_t>(p)][static_cast<std::size_t>(r) * kCount + i],
                  value(r, static_cast<std::uint64_t>(p) * kCount + i));
}

TEST(Segments, RootedCollectivesTouchOnlyTheirRoot) {
  Buffers recv(kRanks, std::vector<int>(kCount * kRanks, -1));
  execute(segments_of(op_of(Collective::kGather, kCount, 2), kRanks), filled(kCount), recv);
  EXPECT_EQ(recv[2][4 * kCount + 1], value(4, 1));
  EXPECT_EQ(recv[0][0], -1);
  Buffers one(kRanks, std::vector<int>(kCount, -1));
  execute(segments_of(op_of(Collective::kScatter, kCount, 1), kRanks), filled(kCount * kRanks), one);
  EXPECT_EQ(one[3][2], value(1, 3 * kCount + 2));
  Buffers sums(kRanks, std::vector<int>(kCount, -1));
  execute(segments_of(op_of(Collective::kReduce, kCount, 4), kRanks), filled(kCount), sums);
  EXPECT_EQ(sums[4][0], 10'000);
  EXPECT_EQ(sums[0][0], -1);
}

TEST(Segments, NothingToMoveIsNoSegment) {
  for (int k = 0; k <= static_cast<int>(Collective::kBarrier); ++k)
    EXPECT_TRUE(segments_of(op_of(static_cast<Collective>(k), 0, 0), kRanks).empty());
  EXPECT_TRUE(segments_of(op_of(Collective::kBarrier, 7), kRanks).empty());
}

TEST(Segments, AllToAllVNamesBothRanksWhenCountsDisagree) {
  const std::vector<std::uint64_t> send{0, 5, 2, 0}, recv{0, 2, 4, 0}, displs(4, 0);
  const auto r = all_to_all_v_segments(DType::kInt32, 2, send, displs, recv, displs);
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().message(), "all_to_all_v: rank 0 sends 5 elements to rank 1, which expects 4");
}

TEST(Signature, DiffersInWhateverRanksMustAgreeOn) {
  std::set<std::uint32_t> seen;
  OpDesc op = op_of(Collective::kAllReduce, 10);
  EXPECT_EQ(op_signature(op), op_signature(op));
  seen.insert(op_signature(op));
  op.count = 11;
  seen.insert(op_signature(op));
  op.dtype = DType::kFloat32;
  seen.insert(op_signature(op));
  op.op = ReduceOp::kMax;
  seen.insert(op_signature(op));
  op.kind = Collective::kReduce;
  seen.insert(op_signature(op));
  op.root = 1;
  seen.insert(op_signature(op));
  op.fused = 2;
  seen.insert(op_signature(op));
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_FALSE(seen.contains(0));
  // Buffers are each rank's own.
  OpDesc other = op;
  int x = 0;
  other.send = &x;
  other.seq = 99;
  EXPECT_EQ(op_signature(op), op_signature(other));
}

TEST(Signature, CountsAndDisplacementsThatAllRanksKnow) {
  const std::vector<std::uint64_t> counts{3, 5}, swapped{5, 3}, displs{0, 3}, gap{0, 4};
  OpDesc op = op_of(Collective::kAllGatherV, 0);
  op.recv_counts = counts;
  op.recv_displs = displs;
  OpDesc other_counts = op, other_displs = op;
  other_counts.recv_counts = swapped;
  other_displs.recv_displs = gap;
  EXPECT_NE(op_signature(op), op_signature(other_counts));
  EXPECT_NE(op_signature(op), op_signature(other_displs));
  // all_to_all_v: each rank has its own.
  op.kind = other_displs.kind = Collective::kAllToAllV;
  EXPECT_EQ(op_signature(op), op_signature(other_displs));
}

}  // namespace
}  // namespace ff::hfreduce
