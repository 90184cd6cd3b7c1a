// Every algorithm and collective against a reference written from the definition, over group sizes, message sizes
// around chunk borders and types. Pairwise algorithms must match bit for bit; tree and ring must agree on all ranks and
// stay in bounds.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/hfreduce/net/cluster.hpp"

namespace ff::hfreduce::testing {
namespace {

// memcmp that may be asked about nothing, wherever that lies.
int compare_bytes(const void* a, const void* b, std::size_t bytes) { return bytes == 0 ? 0 : std::memcmp(a, b, bytes); }

constexpr std::uint64_t kChunk = 1024;  // bytes; small, so that small messages have several
constexpr int kSizes[] = {1, 2, 3, 4, 5, 7, 8, 16};

struct Case {
  DType dtype;
  ReduceOp op;
};
constexpr Case kCases[] = {{DType::kFloat32, ReduceOp::kSum},    {DType::kBfloat16, ReduceOp::kAvg},
                           {DType::kFloat8E4M3, ReduceOp::kSum}, {DType::kInt8, ReduceOp::kProd},
                           {DType::kInt32, ReduceOp::kAvg},      {DType::kFloat64, ReduceOp::kMin},
                           {DType::kFloat16, ReduceOp::kMax}};

std::vector<std::uint64_t> counts_for(DType dtype, int n) {
  const std::uint64_t chunk = kChunk / dtype_size(dtype);
  return {0, 1, 17, chunk - 1, chunk + 1, chunk * static_cast<std::uint64_t>(n) * 3 + 5};
}

bool exact(NetAlgorithm algorithm, const Case& c) {
  const bool pairwise_order = algorithm != NetAlgorithm::kTree && algorithm != NetAlgorithm::kRing;
  return pairwise_order || is_integer(c.dtype) || c.op == ReduceOp::kMin || c.op == ReduceOp::kMax;
}

// A sum of n values of magnitude up to 1.5, combined in any order with fp32 partials: n - 1 roundings of fp32 at up
// to 1.5 n on each side, and one rounding to the type.
double bound(const Case& c, int n, double value) {
  const double scale = 1.5 * n * (c.op == ReduceOp::kAvg ? 1.0 / n : 1.0);
  const double rounding = c.dtype == DType::kBfloat16 ? 0x1p-8 : c.dtype == DType::kFloat8E4M3 ? 0x1p-4 : 0x1p-23;
  return 2.0 * n * scale * 0x1p-24 + 2 * rounding * std::max(std::abs(value), 0x1p-6);
}

void check_result(NetAlgorithm algorithm, const Case& c, int n, const Bytes& got, const Bytes& want) {
  ASSERT_EQ(got.size(), want.size());
  if (exact(algorithm, c)) {
    ASSERT_TRUE(got == want) << net_algorithm_name(algorithm) << " n=" << n << " " << dtype_name(c.dtype) << " "
                             << op_name(c.op) << " bytes=" << got.size();
    return;
  }
  for (std::uint64_t i = 0; i < got.size(); i += dtype_size(c.dtype)) {
    const double a = decode(c.dtype, &got[i]), b = decode(c.dtype, &want[i]);
    ASSERT_LE(std::abs(a - b), bound(c, n, b)) << net_algorithm_name(algorithm) << " n=" << n << " "
                                               << dtype_name(c.dtype) << " element " << i / dtype_size(c.dtype);
  }
}

std::vector<Bytes> inputs_of(DType dtype, std::uint64_t count, int n, std::uint64_t seq) {
  std::vector<Bytes> inputs;
  for (int r = 0; r < n; ++r) inputs.push_back(make_input(dtype, count, r, seq));
  return inputs;
}

class ByAlgorithm : public ::testing::TestWithParam<NetAlgorithm> {};

TEST_P(ByAlgorithm, AllReduceMatchesTheReference) {
  for (const int n : kSizes) {
    Cluster cluster(n, [&](NetOptions& o) { o.algorithm = GetParam(), o.chunk_bytes = kChunk; });
    std::uint64_t seq = 0;
    for (const Case& c : kCases)
      for (const std::uint64_t count : counts_for(c.dtype, n)) {
        ++seq;
        const auto inputs = inputs_of(c.dtype, count, n, seq);
        const Bytes want = reference(c.dtype, c.op, inputs);
        std::vector<Bytes> got(static_cast<std::size_t>(n), Bytes(want.size()));
        const bool in_place = seq % 2 == 0;
        if (in_place) got = inputs;
        cluster.each([&](int r, NetEngine& engine) {
          Bytes& mine = got[static_cast<std::size_t>(r)];
          const auto result = run(engine, {.kind = Collective::kAllReduce,
                                           .dtype = c.dtype,
                                           .op = c.op,
                                           .send = in_place ? mine.data() : inputs[static_cast<std::size_t>(r)].data(),
                                           .recv = mine.data(),
                                           .count = count,
                                           .seq = seq});
          EXPECT_TRUE(result) << result.error().message();
        });
        check_result(GetParam(), c, n, got[0], want);
        for (const Bytes& other : got) ASSERT_TRUE(other == got[0]) << "ranks differ, n=" << n;
      }
  }
}

TEST_P(ByAlgorithm, ReduceAndBroadcastMatchTheReference) {
  for (const int n : kSizes) {
    Cluster cluster(n, [&](NetOptions& o) { o.algorithm = GetParam(), o.chunk_bytes = kChunk; });
    std::uint64_t seq = 0;
    for (const Case& c : {kCases[0], kCases[1], kCases[4]})
      for (const std::uint64_t count : counts_for(c.dtype, n))
        for (const int root : {0, n / 2, n - 1}) {
          const std::uint64_t first = ++seq, second = ++seq;
          const auto inputs = inputs_of(c.dtype, count, n, first);
          const Bytes want = reference(c.dtype, c.op, inputs);
          std::vector<Bytes> moved(static_cast<std::size_t>(n), Bytes(want.size()));
          Bytes got(want.size());
          cluster.each([&](int r, NetEngine& engine) {
            const Bytes& mine = inputs[static_cast<std::size_t>(r)];
            EXPECT_TRUE(run(engine, {.kind = Collective::kReduce,
                                     .dtype = c.dtype,
                                     .op = c.op,
                                     .root = root,
                                     .send = mine.data(),
                                     .recv = r == root ? got.data() : nullptr,
                                     .count = count,
                                     .seq = first}));
            EXPECT_TRUE(run(engine, {.kind = Collective::kBroadcast,
                                     .dtype = c.dtype,
                                     .root = root,
                                     .send = r == root ? mine.data() : nullptr,
                                     .recv = moved[static_cast<std::size_t>(r)].data(),
                                     .count = count,
                                     .seq = second}));
          });
          check_result(n == 1 ? NetAlgorithm::kDirect : GetParam(), c, n, got, want);
          for (const Bytes& m : moved) ASSERT_TRUE(m == inputs[static_cast<std::size_t>(root)]);
        }
  }
}

INSTANTIATE_TEST_SUITE_P(, ByAlgorithm,
                         ::testing::Values(NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling, NetAlgorithm::kDirect,
                                           NetAlgorithm::kTree, NetAlgorithm::kRing, NetAlgorithm::kAuto),
                         [](const auto& info) { return std::string(net_algorithm_name(info.param)); });

// Rank r's buffers for a call, and a check of what arrived.
struct Buffers {
  Bytes send, recv;
};

class ByChannels : public ::testing::TestWithParam<int> {};

TEST_P(ByChannels, MovingCollectivesPutEveryByteInItsPlace) {
  for (const int n : kSizes) {
    Cluster cluster(n, [&](NetOptions& o) { o.chunk_bytes = kChunk, o.channels = GetParam(); });
    std::uint64_t seq = 0;
    // With several channels the larger count is shared among them (256 KiB each).
    for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1500}, std::uint64_t{150001}}) {
      if (count > 2000 && (GetParam() == 1 || n > 4)) continue;
      const auto whole = inputs_of(DType::kInt32, count * static_cast<std::uint64_t>(n), n, 99 + count);
      const std::uint64_t part = count * 4;
      const auto block = [&](int rank, int i) {
        const auto begin =
            whole[static_cast<std::size_t>(rank)].begin() + static_cast<std::ptrdiff_t>(i * static_cast<int>(part));
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(part));
      };
      const int root = n - 1;
      const std::uint64_t base = seq;
      seq += 5;
      const Bytes sum = reference(DType::kInt32, ReduceOp::kSum, whole);
      cluster.each([&](int r, NetEngine& engine) {
        const Bytes& mine = whole[static_cast<std::size_t>(r)];
        Bytes all(part * static_cast<std::uint64_t>(n)), one(part);
        OpDesc op{.dtype = DType::kInt32, .root = root, .send = mine.data(), .recv = all.data(), .count = count};
        const auto call = [&](Collective kind, std::uint64_t number) {
          op.kind = kind;
          op.seq = base + number;
          const auto result = run(engine, op);
          EXPECT_TRUE(result) << collective_name(kind) << ": " << result.error().message();
        };
        const auto expect_block = [&](int i, const Bytes& want) {
          EXPECT_TRUE(part == 0 ||
                      compare_bytes(all.data() + static_cast<std::uint64_t>(i) * part, want.data(), part) == 0)
              << n << " " << i;
        };
        call(Collective::kAllGather, 1);
        for (int i = 0; i < n; ++i) expect_block(i, block(i, 0));
        call(Collective::kAllToAll, 2);
        for (int i = 0; i < n; ++i) expect_block(i, block(i, r));
        std::fill(all.begin(), all.end(), std::byte{0});
        call(Collective::kGather, 3);
        for (int i = 0; i < n && r == root; ++i) expect_block(i, block(i, 0));
        op.recv = one.data();
        call(Collective::kScatter, 4);
        EXPECT_TRUE(one == block(root, r));
        call(Collective::kReduceScatter, 5);
        EXPECT_EQ(compare_bytes(one.data(), sum.data() + static_cast<std::uint64_t>(r) * part, part), 0);
      });
    }
  }
}

TEST_P(ByChannels, AllReduceSharedByChannelsIsExactToTheBit) {
  for (const NetAlgorithm algorithm : {NetAlgorithm::kDirect, NetAlgorithm::kTree, NetAlgorithm::kRing}) {
    Cluster cluster(3, [&](NetOptions& o) { o.channels = GetParam(), o.algorithm = algorithm; });
    const std::uint64_t count = 300001;
    const auto inputs = inputs_of(DType::kInt32, count, 3, 5);
    const Bytes want = reference(DType::kInt32, ReduceOp::kSum, inputs);
    for (std::uint64_t seq = 1; seq <= 3; ++seq)
      cluster.each([&](int r, NetEngine& engine) {
        Bytes out(want.size());
        EXPECT_TRUE(run(engine, {.kind = Collective::kAllReduce,
                                 .dtype = DType::kInt32,
                                 .send = inputs[static_cast<std::size_t>(r)].data(),
                                 .recv = out.data(),
                                 .count = count,
                                 .seq = seq}));
        EXPECT_TRUE(out == want);
      });
  }
}

INSTANTIATE_TEST_SUITE_P(, ByChannels, ::testing::Values(1, 3));

TEST(InPlace, AllGatherAndReduceScatterWorkOnOneBuffer) {
  const int n = 5;
  const std::uint64_t count = 700, part = count * 4;
  Cluster cluster(n, [](NetOptions& o) { o.chunk_bytes = kChunk; });
  const auto whole = inputs_of(DType::kInt32, count * n, n, 3);
  const Bytes sum = reference(DType::kInt32, ReduceOp::kSum, whole);
  cluster.each([&](int r, NetEngine& engine) {
    Bytes buffer = whole[static_cast<std::size_t>(r)];
    std::byte* own = buffer.data() + static_cast<std::uint64_t>(r) * part;
    EXPECT_TRUE(run(engine, {.kind = Collective::kReduceScatter,
                             .dtype = DType::kInt32,
                             .send = buffer.data(),
                             .recv = own,
                             .count = count,
                             .seq = 1}));
    EXPECT_TRUE(run(engine, {.kind = Collective::kAllGather,
                             .dtype = DType::kInt32,
                             .send = own,
                             .recv = buffer.data(),
                             .count = count,
                             .seq = 2}));
    EXPECT_TRUE(buffer == sum) << "reduce_scatter and all_gather make an all_reduce";
  });
}

TEST(VariableCounts, WorkWithZerosAndGaps) {
  const int n = 4;
  Cluster cluster(n, [](NetOptions& o) { o.chunk_bytes = kChunk; });
  const std::vector<std::uint64_t> counts{0, 700, 1, 300};
  const std::vector<std::uint64_t> displs{5, 10, 900, 1000};
  const auto inputs = inputs_of(DType::kInt32, 1001, n, 8);
  const Bytes sum = reference(DType::kInt32, ReduceOp::kSum, inputs);
  cluster.each([&](int r, NetEngine& engine) {
    const auto me = static_cast<std::size_t>(r);
    const Bytes& mine = inputs[me];
    Bytes out(1300 * 4);
    EXPECT_TRUE(run(engine, {.kind = Collective::kReduceScatterV,
                             .dtype = DType::kInt32,
                             .send = mine.data(),
                             .recv = out.data(),
                             .recv_counts = counts,
                             .seq = 1}));
    std::uint64_t begin = 0;
    for (std::size_t i = 0; i < me; ++i) begin += counts[i];
    EXPECT_EQ(compare_bytes(out.data(), sum.data() + begin * 4, counts[me] * 4), 0);
    EXPECT_TRUE(run(engine, {.kind = Collective::kAllGatherV,
                             .dtype = DType::kInt32,
                             .send = mine.data(),
                             .recv = out.data(),
                             .recv_counts = counts,
                             .recv_displs = displs,
                             .seq = 2}));
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(compare_bytes(out.data() + displs[i] * 4, inputs[i].data(), counts[i] * 4), 0);
  });
}

TEST(VariableCounts, AllToAllVMovesWhatBothSidesSay) {
  const int n = 5;
  Cluster cluster(n);
  // Rank s sends 0, large or small pieces: (s * 3 + t) % 4 decides.
  const auto count = [](int s, int t) -> std::uint64_t {
    const std::uint64_t table[] = {0, 3, 70000, 300001};
    return table[(s * 3 + t) % 4];
  };
  for (std::uint64_t seq = 1; seq <= 2; ++seq)
    cluster.each([&](int r, NetEngine& engine) {
      std::vector<std::uint64_t> send_counts, send_displs, recv_counts, recv_displs;
      std::uint64_t sent = 0, got = 0;
      for (int p = 0; p < n; ++p) {
        send_counts.push_back(count(r, p)), recv_counts.push_back(count(p, r));
        send_displs.push_back(sent), recv_displs.push_back(got);
        sent += send_counts.back(), got += recv_counts.back();
      }
      Bytes send(sent), recv(got);
      for (int p = 0; p < n; ++p)
        std::memset(send.data() + send_displs[static_cast<std::size_t>(p)], 16 * r + p, count(r, p));
      EXPECT_TRUE(run(engine, {.kind = Collective::kAllToAllV,
                               .dtype = DType::kUint8,
                               .send = send.data(),
                               .recv = recv.data(),
                               .send_counts = send_counts,
                               .send_displs = send_displs,
                               .recv_counts = recv_counts,
                               .recv_displs = recv_displs,
                               .seq = seq}));
      for (int p = 0; p < n; ++p) {
        const std::uint64_t begin = recv_displs[static_cast<std::size_t>(p)];
        const Bytes want(count(p, r), static_cast<std::byte>(16 * p + r));
        EXPECT_TRUE(std::equal(want.begin(), want.end(), recv.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
    });
}

TEST(Barrier, NobodyLeavesBeforeAllHaveEntered) {
  for (const int n : {1, 2, 3, 5, 8, 16}) {
    Cluster cluster(n);
    std::atomic<int> entered{0};
    cluster.each([&](int, NetEngine& engine) {
      for (int round = 1; round <= 20; ++round) {
        entered.fetch_add(1);
        EXPECT_TRUE(run(engine, {.kind = Collective::kBarrier, .seq = static_cast<std::uint64_t>(round)}));
        EXPECT_GE(entered.load(), round * n);
      }
    });
  }
}

TEST(Auto, BitsDoNotDependOnTheMessageSizeUpToSixteenRanks) {
  const int n = 6;
  Cluster cluster(n);
  // The same first elements in messages that take different algorithms and chunks.
  std::vector<Bytes> beginnings;
  const auto inputs = inputs_of(DType::kFloat32, 200000, n, 4);
  std::uint64_t seq = 0;
  for (const std::uint64_t count : {100u, 5000u, 30000u, 200000u}) {
    std::vector<Bytes> got(n, Bytes(count * 4));
    ++seq;
    cluster.each([&](int r, NetEngine& engine) {
      EXPECT_TRUE(run(engine, {.kind = Collective::kAllReduce,
                               .send = inputs[static_cast<std::size_t>(r)].data(),
                               .recv = got[static_cast<std::size_t>(r)].data(),
                               .count = count,
                               .seq = seq}));
    });
    beginnings.emplace_back(got[3].begin(), got[3].begin() + 400);
  }
  for (const Bytes& b : beginnings) EXPECT_TRUE(b == beginnings[0]);
}

TEST(Traffic, IsWhatTheAlgorithmsPromise) {
  const int n = 4;
  const std::uint64_t count = 1 << 18, bytes = count * 4;
  for (const NetAlgorithm algorithm : {NetAlgorithm::kDirect, NetAlgorithm::kTree}) {
    Cluster cluster(n, [&](NetOptions& o) { o.algorithm = algorithm; });
    const Bytes input(bytes);
    cluster.each([&](int, NetEngine& engine) {
      Bytes out(bytes);
      EXPECT_TRUE(
          run(engine,
              {.kind = Collective::kAllReduce, .send = input.data(), .recv = out.data(), .count = count, .seq = 1}));
    });
    for (const auto& engine : cluster.engines) {
      const double sent = static_cast<double>(engine->traffic().sent) / static_cast<double>(bytes);
      if (algorithm == NetAlgorithm::kDirect) {
        EXPECT_NEAR(sent, 2.0 * (n - 1) / n, 0.005);
      } else {
        EXPECT_LE(sent, 2.005);
      }
    }
  }
}

}  // namespace
}  // namespace ff::hfreduce::testing
