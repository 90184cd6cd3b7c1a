// The public API over real transports: one host (shared memory), every rank its own host (TCP), several hosts with
// several ranks (hierarchical). Ranks are threads; what differs between processes and threads is in the fault and
// launcher tests.
#include "hfreduce/communicator.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <map>
#include <mutex>

#include "tests/support/ranks.hpp"

namespace ff::hfreduce {
namespace {

using namespace std::chrono_literals;
using testing::pattern;
using testing::run_ranks;
using testing::test_config;

struct Topology {
  const char* name;
  int ranks;
  int hosts;  // 0: TCP between all
};

testing::ConfigOf config_of(const Topology& t, Config config = test_config()) {
  if (t.hosts == 0) config.transport = Transport::kTcp;
  return t.hosts <= 1 ? [config](int) { return config; } : testing::on_hosts(t.ranks, t.hosts, config);
}

class CommunicatorTest : public ::testing::TestWithParam<Topology> {
 protected:
  void run(const testing::RankBody& body) { run_ranks(GetParam().ranks, config_of(GetParam()), body); }
};

TEST_P(CommunicatorTest, AllReduceSumsExactlyAtEverySize) {
  const int n = GetParam().ranks;
  run([n](Communicator& c) {
    for (const std::size_t count : {0ul, 1ul, 3ul, 17ul, 1000ul, 4096ul, 16385ul, 100'003ul, 1'000'001ul}) {
      const auto mine = pattern<std::int32_t>(c.rank(), count, 1000);
      std::vector<std::int32_t> out(count, -1), want(count, 0);
      for (int r = 0; r < n; ++r) {
        const auto theirs = pattern<std::int32_t>(r, count, 1000);
        for (std::size_t i = 0; i < count; ++i) want[i] += theirs[i];
      }
      const auto result = c.all_reduce(mine.data(), out.data(), count, DType::kInt32, ReduceOp::kSum);
      ASSERT_TRUE(result.has_value()) << result.error().message();
      ASSERT_EQ(out, want) << count;
    }
  });
}

TEST_P(CommunicatorTest, AllReduceInPlaceInWindowsAndOrdinaryMemory) {
  const int n = GetParam().ranks;
  run([n](Communicator& c) {
    for (const std::size_t count : {5ul, 5000ul, 300'000ul}) {
      const auto memory = c.alloc(count * 4);
      ASSERT_TRUE(memory.has_value()) << memory.error().message();
      std::vector<float> ordinary(count);
      for (float* data : {static_cast<float*>(*memory), ordinary.data()}) {
        for (std::size_t i = 0; i < count; ++i)
          data[i] = static_cast<float>((i + static_cast<std::size_t>(c.rank())) % 50);
        ASSERT_TRUE(c.all_reduce(data, data, count, DType::kFloat32, ReduceOp::kSum).has_value());
        for (std::size_t i = 0; i < count; ++i) {
          float want = 0;
          for (int r = 0; r < n; ++r) want += static_cast<float>((i + static_cast<std::size_t>(r)) % 50);
          ASSERT_EQ(data[i], want) << i;
        }
      }
      ASSERT_TRUE(c.free(*memory).has_value());
    }
  });
}

TEST_P(CommunicatorTest, EveryRankHasTheSameBitsAndTheErrorIsBounded) {
  const int n = GetParam().ranks;
  const std::size_t count = 70'001;
  std::vector<std::vector<float>> inputs, outputs(static_cast<std::size_t>(n));
  for (int r = 0; r < n; ++r) inputs.push_back(testing::rough_floats(r, count));
  run([&](Communicator& c) {
    const auto me = static_cast<std::size_t>(c.rank());
    outputs[me].resize(count);
    ASSERT_TRUE(
        c.all_reduce(inputs[me].data(), outputs[me].data(), count, DType::kFloat32, ReduceOp::kSum).has_value());
  });
  for (int r = 1; r < n; ++r)
    ASSERT_EQ(std::memcmp(outputs[0].data(), outputs[static_cast<std::size_t>(r)].data(), count * 4), 0)
        << "rank " << r;
  // Any order of n-1 additions: |error| <= (n-1) u sum|x| to first order; u = 2^-24.
  for (std::size_t i = 0; i < count; ++i) {
    double exact = 0, magnitude = 0;
    for (const auto& input : inputs) {
      exact += static_cast<double>(input[i]);
      magnitude += std::abs(static_cast<double>(input[i]));
    }
    ASSERT_LE(std::abs(static_cast<double>(outputs[0][i]) - exact), 1.0001 * (n - 1) * 0x1.0p-24 * magnitude) << i;
  }
}

TEST_P(CommunicatorTest, LowTypesAverageAndExtremes) {
  const int n = GetParam().ranks;
  run([n](Communicator& c) {
    const std::size_t count = 3001;
    for (const DType low : {DType::kFloat16, DType::kBfloat16, DType::kFloat8E4M3, DType::kFloat8E5M2}) {
      const std::size_t width = dtype_size(low);
      std::vector<float> mine(count);
      for (std::size_t i = 0; i < count; ++i)
        mine[i] = static_cast<float>((i + static_cast<std::size_t>(c.rank())) % 2);
      std::vector<std::byte> coded(count * width), out(count * width);
      cpu::narrow(low, mine.data(), coded.data(), count);
      ASSERT_TRUE(c.all_reduce(coded.data(), out.data(), count, low, ReduceOp::kSum).has_value());
      std::vector<float> sum(count);
      cpu::widen(low, out.data(), sum.data(), count);
      for (std::size_t i = 0; i < count; ++i) {
        int want = 0;
        for (int r = 0; r < n; ++r) want += static_cast<int>((i + static_cast<std::size_t>(r)) % 2);
        ASSERT_EQ(sum[i], static_cast<float>(want)) << dtype_name(low);  // up to 8: exact in all four
      }
    }
    std::vector<double> x(10, c.rank() + 1.0), y(10);
    ASSERT_TRUE(c.all_reduce(x.data(), y.data(), 10, DType::kFloat64, ReduceOp::kAvg).has_value());
    EXPECT_DOUBLE_EQ(y[9], (n + 1) / 2.0);
    ASSERT_TRUE(c.all_reduce(x.data(), y.data(), 10, DType::kFloat64, ReduceOp::kMax).has_value());
    EXPECT_EQ(y[0], n);
    ASSERT_TRUE(c.all_reduce(x.data(), y.data(), 10, DType::kFloat64, ReduceOp::kMin).has_value());
    EXPECT_EQ(y[0], 1);
    std::vector<std::int64_t> p(3, 2), q(3);
    ASSERT_TRUE(c.all_reduce(p.data(), q.data(), 3, DType::kInt64, ReduceOp::kProd).has_value());
    EXPECT_EQ(q[1], 1LL << n);
  });
}

TEST_P(CommunicatorTest, TheOtherCollectivesMoveTheRightPieces) {
  const int n = GetParam().ranks;
  run([n](Communicator& c) {
    const auto size = static_cast<std::size_t>(n);
    const auto me = static_cast<std::size_t>(c.rank());
    for (const std::size_t count : {1ul, 777ul, 50'000ul}) {
      // Value of element i that rank r holds for rank p.
      const auto value = [](std::size_t r, std::size_t p, std::size_t i) {
        return static_cast<std::int32_t>(r * 1000003 + p * 101 + i);
      };
      std::vector<std::int32_t> wide(count * size), one(count), out(count), out_wide(count * size);
      for (std::size_t p = 0; p < size; ++p)
        for (std::size_t i = 0; i < count; ++i) wide[p * count + i] = value(me, p, i);
      for (std::size_t i = 0; i < count; ++i) one[i] = value(me, 0, i);

      for (int root = 0; root < n; root += n - 1 > 0 ? n - 1 : 1) {
        const auto root_index = static_cast<std::size_t>(root);
        std::fill(out.begin(), out.end(), 0);
        ASSERT_TRUE(c.broadcast(one.data(), out.data(), count, DType::kInt32, root).has_value());
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], value(root_index, 0, i));

        ASSERT_TRUE(c.reduce(one.data(), out.data(), count, DType::kInt32, ReduceOp::kSum, root).has_value());
        if (c.rank() == root) {
          for (std::size_t i = 0; i < count; ++i) {
            std::int32_t want = 0;
            for (std::size_t r = 0; r < size; ++r) want += value(r, 0, i);
            ASSERT_EQ(out[i], want);
          }
        }
        ASSERT_TRUE(
            c.gather(one.data(), c.rank() == root ? out_wide.data() : nullptr, count, DType::kInt32, root).has_value());
        if (c.rank() == root) {
          for (std::size_t r = 0; r < size; ++r)
            for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out_wide[r * count + i], value(r, 0, i));
        }
        ASSERT_TRUE(c.scatter(wide.data(), out.data(), count, DType::kInt32, root).has_value());
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], value(root_index, me, i));
        if (n == 1) break;
      }

      ASSERT_TRUE(c.all_gather(one.data(), out_wide.data(), count, DType::kInt32).has_value());
      for (std::size_t r = 0; r < size; ++r)
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out_wide[r * count + i], value(r, 0, i));

      ASSERT_TRUE(c.reduce_scatter(wide.data(), out.data(), count, DType::kInt32, ReduceOp::kSum).has_value());
      for (std::size_t i = 0; i < count; ++i) {
        std::int32_t want = 0;
        for (std::size_t r = 0; r < size; ++r) want += value(r, me, i);
        ASSERT_EQ(out[i], want);
      }

      ASSERT_TRUE(c.all_to_all(wide.data(), out_wide.data(), count, DType::kInt32).has_value());
      for (std::size_t r = 0; r < size; ++r)
        for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out_wide[r * count + i], value(r, me, i));
      ASSERT_TRUE(c.barrier().has_value());
    }
  });
}

TEST_P(CommunicatorTest, VectorVariantsWithZeroCounts) {
  const int n = GetParam().ranks;
  run([n](Communicator& c) {
    const auto size = static_cast<std::size_t>(n);
    const auto me = static_cast<std::size_t>(c.rank());
    // Rank r contributes r*1000 elements (rank 0 none), laid out with a gap of one element.
    std::vector<std::uint64_t> counts(size), displs(size);
    std::uint64_t at = 0;
    for (std::size_t r = 0; r < size; ++r) {
      counts[r] = r * 1000;
      displs[r] = at;
      at += counts[r] + 1;
    }
    std::vector<float> mine(counts[me], static_cast<float>(me)), all(at, -1);
    ASSERT_TRUE(c.all_gather_v(mine.data(), all.data(), counts, displs, DType::kFloat32).has_value());
    for (std::size_t r = 0; r < size; ++r) {
      for (std::uint64_t i = 0; i < counts[r]; ++i) ASSERT_EQ(all[displs[r] + i], static_cast<float>(r));
      ASSERT_EQ(all[displs[r] + counts[r]], -1) << "the gap must stay";
    }
    std::uint64_t total = 0;
    for (const auto k : counts) total += k;
    std::vector<float> whole(total, 1.0f), part(counts[me], 0);
    ASSERT_TRUE(c.reduce_scatter_v(whole.data(), part.data(), counts, DType::kFloat32, ReduceOp::kSum).has_value());
    for (const float v : part) ASSERT_EQ(v, static_cast<float>(n));

    // Rank s sends t (s + 2t) % 5 * 300 elements of value s*10+t.
    const auto amount = [](std::size_t s, std::size_t t) { return (s + 2 * t) % 5 * 300; };
    std::vector<std::uint64_t> sc(size), sd(size), rc(size), rd(size);
    std::uint64_t s_at = 0, r_at = 0;
    for (std::size_t p = 0; p < size; ++p) {
      sc[p] = amount(me, p);
      sd[p] = s_at;
      s_at += sc[p];
      rc[p] = amount(p, me);
      rd[p] = r_at;
      r_at += rc[p];
    }
    std::vector<std::int32_t> out(s_at + 1), in(r_at + 1, -7);
    for (std::size_t p = 0; p < size; ++p)
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(sd[p]), sc[p], static_cast<std::int32_t>(me * 10 + p));
    ASSERT_TRUE(c.all_to_all_v(out.data(), sc, sd, in.data(), rc, rd, DType::kInt32).has_value());
    for (std::size_t p = 0; p < size; ++p)
      for (std::uint64_t i = 0; i < rc[p]; ++i) ASSERT_EQ(in[rd[p] + i], static_cast<std::int32_t>(p * 10 + me));
    ASSERT_EQ(in[r_at], -7);
  });
}

TEST_P(CommunicatorTest, QueuedCallsRunInOrderWhileTheCallerComputes) {
  run([](Communicator& c) {
    const int calls = 20;
    const std::size_t count = 20'000;
    std::vector<std::vector<float>> data(calls, std::vector<float>(count, 1.0f));
    std::vector<Request> requests(calls);
    for (int i = 0; i < calls; ++i)
      ASSERT_TRUE(c.all_reduce(data[static_cast<std::size_t>(i)].data(), data[static_cast<std::size_t>(i)].data(),
                               count, DType::kFloat32, ReduceOp::kSum, &requests[static_cast<std::size_t>(i)])
                      .has_value());
    // A blocking call made now comes after all of them.
    ASSERT_TRUE(c.barrier().has_value());
    for (auto& r : requests) EXPECT_TRUE(r.done());
    std::int64_t last = 0;
    for (auto& r : requests) {
      ASSERT_TRUE(r.wait().has_value());
      EXPECT_GE(r.begin_ns(), last);
      last = r.end_ns();
    }
    for (const auto& d : data) EXPECT_EQ(d[count - 1], static_cast<float>(c.size()));
  });
}

TEST_P(CommunicatorTest, GroupedExchangesDoNotDeadlockAndSmallSumsAreFused) {
  run([](Communicator& c) {
    const int n = c.size(), left = (c.rank() + n - 1) % n, right = (c.rank() + 1) % n;
    for (const std::size_t count : {1ul, 10'000ul, 3'000'000ul}) {
      std::vector<float> to_right(count, static_cast<float>(c.rank())),
          to_left(count, static_cast<float>(100 + c.rank()));
      std::vector<float> from_left(count), from_right(count);
      std::vector<float> small_a(10, 1), small_b(20, 2), sum_a(10), sum_b(20);
      c.group_start();
      ASSERT_TRUE(c.all_reduce(small_a.data(), sum_a.data(), 10, DType::kFloat32, ReduceOp::kSum).has_value());
      ASSERT_TRUE(c.send(to_right.data(), count, DType::kFloat32, right).has_value());
      ASSERT_TRUE(c.send(to_left.data(), count, DType::kFloat32, left).has_value());
      // With two ranks both neighbours are the same peer and pairs match in order.
      ASSERT_TRUE(c.recv(from_left.data(), count, DType::kFloat32, left).has_value());
      ASSERT_TRUE(c.recv(from_right.data(), count, DType::kFloat32, right).has_value());
      ASSERT_TRUE(c.all_reduce(small_b.data(), sum_b.data(), 20, DType::kFloat32, ReduceOp::kSum).has_value());
      const auto end = c.group_end();
      ASSERT_TRUE(end.has_value()) << end.error().message();
      ASSERT_EQ(from_left.back(), static_cast<float>(left));
      ASSERT_EQ(from_right.front(), static_cast<float>(100 + right));
      ASSERT_EQ(sum_a[9], static_cast<float>(n));
      ASSERT_EQ(sum_b[19], static_cast<float>(2 * n));
    }
  });
}

TEST_P(CommunicatorTest, SendsAndReceivesInTurnWorkWithoutAGroup) {
  run([](Communicator& c) {
    std::vector<double> token(1000, 0.0);
    if (c.rank() == 0) {
      std::fill(token.begin(), token.end(), 42.0);
      ASSERT_TRUE(c.send(token.data(), 1000, DType::kFloat64, 1).has_value());
      ASSERT_TRUE(c.recv(token.data(), 1000, DType::kFloat64, c.size() - 1).has_value());
    } else {
      ASSERT_TRUE(c.recv(token.data(), 1000, DType::kFloat64, c.rank() - 1).has_value());
      for (double& v : token) v += 1;
      ASSERT_TRUE(c.send(token.data(), 1000, DType::kFloat64, (c.rank() + 1) % c.size()).has_value());
    }
    ASSERT_TRUE(c.barrier().has_value());
    if (c.rank() == 0) EXPECT_EQ(token[999], 42.0 + c.size() - 1);
  });
}

TEST_P(CommunicatorTest, RefusedArgumentsLeaveTheCommunicatorGood) {
  run([](Communicator& c) {
    std::vector<float> a(100, 1.0f);
    EXPECT_EQ(c.all_reduce(a.data(), a.data() + 10, 50, DType::kFloat32, ReduceOp::kSum).error().code(),
              Errc::kInvalidArgument);
    EXPECT_EQ(c.all_reduce(nullptr, a.data(), 50, DType::kFloat32, ReduceOp::kSum).error().code(),
              Errc::kInvalidArgument);
    EXPECT_EQ(c.broadcast(a.data(), a.data(), 50, DType::kFloat32, c.size()).error().code(), Errc::kInvalidArgument);
    EXPECT_EQ(c.all_reduce(a.data(), a.data(), ~0ULL, DType::kFloat32, ReduceOp::kSum).error().code(),
              Errc::kInvalidArgument);
    EXPECT_EQ(c.send(a.data(), 1, DType::kFloat32, -1).error().code(), Errc::kInvalidArgument);
    // In bytes this would wrap to 4.
    EXPECT_EQ(c.send(a.data(), (1ULL << 62) + 1, DType::kFloat32, 0).error().code(), Errc::kInvalidArgument);
    EXPECT_EQ(c.recv(a.data(), (1ULL << 62) + 1, DType::kFloat32, 0).error().code(), Errc::kInvalidArgument);
    EXPECT_EQ(c.group_end().error().code(), Errc::kInvalidArgument);
    EXPECT_FALSE(c.failed());
    ASSERT_TRUE(c.all_reduce(a.data(), a.data(), 100, DType::kFloat32, ReduceOp::kSum).has_value());
    EXPECT_EQ(a[5], static_cast<float>(c.size()));
  });
}

TEST_P(CommunicatorTest, SendsToOneselfThatDoNotMatchAreRefusedBeforeAnythingRuns) {
  run([](Communicator& c) {
    std::vector<float> a(100, 1.0f), b(100);
    EXPECT_EQ(c.send(a.data(), 1, DType::kFloat32, c.rank()).error().code(), Errc::kInvalidArgument);
    // Only rank 0 errs; the others do not have the all_reduce in their group, because rank 0's must not have run.
    if (c.rank() == 0) {
      Request request;
      c.group_start();
      ASSERT_TRUE(c.all_reduce(a.data(), a.data(), 100, DType::kFloat32, ReduceOp::kSum, &request).has_value());
      ASSERT_TRUE(c.send(a.data(), 10, DType::kFloat32, 0).has_value());
      ASSERT_TRUE(c.recv(b.data(), 20, DType::kFloat32, 0).has_value());
      EXPECT_EQ(c.group_end().error().code(), Errc::kInvalidArgument);
      EXPECT_EQ(request.wait().error().code(), Errc::kInvalidArgument);
    }
    c.group_start();
    ASSERT_TRUE(c.all_reduce(a.data(), a.data(), 100, DType::kFloat32, ReduceOp::kSum).has_value());
    ASSERT_TRUE(c.recv(b.data(), 10, DType::kFloat32, c.rank()).has_value());
    const std::vector<float> mine(10, static_cast<float>(c.rank()));
    ASSERT_TRUE(c.send(mine.data(), 10, DType::kFloat32, c.rank()).has_value());
    const auto end = c.group_end();
    ASSERT_TRUE(end.has_value()) << end.error().message();
    EXPECT_EQ(a[99], static_cast<float>(c.size()));
    EXPECT_EQ(b[9], static_cast<float>(c.rank()));
  });
}

TEST_P(CommunicatorTest, MessagesKeepTheirNumbersBesideAllToAllV) {
  run([](Communicator& c) {
    const auto size = static_cast<std::size_t>(c.size());
    const int right = (c.rank() + 1) % c.size(), left = (c.rank() + c.size() - 1) % c.size();
    std::vector<std::uint64_t> counts(size, 7), displs(size);
    for (std::size_t r = 0; r < size; ++r) displs[r] = 7 * r;
    std::vector<float> out(7 * size, static_cast<float>(c.rank())), in(7 * size);
    for (int round = 0; round < 2; ++round) {
      ASSERT_TRUE(c.all_to_all_v(out.data(), counts, displs, in.data(), counts, displs, DType::kFloat32).has_value());
      float from_left = -1;
      c.group_start();
      ASSERT_TRUE(c.send(out.data(), 1, DType::kFloat32, right).has_value());
      ASSERT_TRUE(c.recv(&from_left, 1, DType::kFloat32, left).has_value());
      const auto end = c.group_end();
      ASSERT_TRUE(end.has_value()) << end.error().message();
      EXPECT_EQ(from_left, static_cast<float>(left));
    }
  });
}

TEST_P(CommunicatorTest, ARequestCannotBeWaitedForInItsOpenGroup) {
  run([](Communicator& c) {
    std::vector<float> a(10, 1.0f);
    Request request;
    c.group_start();
    ASSERT_TRUE(c.all_reduce(a.data(), a.data(), 10, DType::kFloat32, ReduceOp::kSum, &request).has_value());
    EXPECT_EQ(request.wait().error().code(), Errc::kInvalidArgument);
    EXPECT_FALSE(request.done());
    const Request moved = std::move(request);  // the group keeps no pointer to the handle
    request = Request();
    ASSERT_TRUE(c.group_end().has_value());
    request = moved;
    ASSERT_TRUE(request.wait().has_value());
    EXPECT_EQ(a[9], static_cast<float>(c.size()));
  });
}

TEST_P(CommunicatorTest, TheRootOfABroadcastNeedsNoReceiveBuffer) {
  run([](Communicator& c) {
    for (const std::size_t count : {3ul, 2000ul, 200'000ul}) {
      const int root = c.size() - 1;
      const std::vector<float> data(count, 6.5f);
      std::vector<float> out(count);
      const bool is_root = c.rank() == root;
      const auto r =
          c.broadcast(is_root ? data.data() : nullptr, is_root ? nullptr : out.data(), count, DType::kFloat32, root);
      ASSERT_TRUE(r.has_value()) << r.error().message();
      EXPECT_EQ(is_root ? data.back() : out.back(), 6.5f);
    }
    std::vector<float> a(1);
    if (c.rank() == 0)
      EXPECT_EQ(c.broadcast(nullptr, nullptr, 1, DType::kFloat32, 0).error().code(), Errc::kInvalidArgument);
  });
}

TEST_P(CommunicatorTest, QueuedCallsFinishBeforeTheirWindowsGo) {
  std::vector<Request> requests(static_cast<std::size_t>(GetParam().ranks));
  run([&](Communicator& c) {
    constexpr std::size_t kCount = 100'000;
    const auto memory = c.alloc(kCount * 4);
    ASSERT_TRUE(memory.has_value());
    auto* data = static_cast<float*>(*memory);
    for (int i = 0; i < 5; ++i)
      ASSERT_TRUE(c.all_reduce(data, data, kCount, DType::kFloat32, ReduceOp::kSum,
                               &requests[static_cast<std::size_t>(c.rank())])
                      .has_value());
  });
  for (Request& r : requests) {
    EXPECT_TRUE(r.done());
    EXPECT_TRUE(r.wait().has_value()) << r.wait().error().message();
  }
}

TEST_P(CommunicatorTest, FusedCallsThatDifferAreAnErrorThoughTheirSumsAgree) {
  run([](Communicator& c) {
    std::vector<float> a(5, 1.0f), b(5, 1.0f);
    const std::size_t first = c.rank() == 1 ? 5 : 3;
    ASSERT_TRUE(c.barrier().has_value());
    c.group_start();
    ASSERT_TRUE(c.all_reduce(a.data(), a.data(), first, DType::kFloat32, ReduceOp::kSum).has_value());
    ASSERT_TRUE(c.all_reduce(b.data(), b.data(), 8 - first, DType::kFloat32, ReduceOp::kSum).has_value());
    const auto end = c.group_end();
    ASSERT_FALSE(end.has_value());
    EXPECT_EQ(end.error().code(), Errc::kCorrupt) << end.error().message();
  });
}

TEST_P(CommunicatorTest, DifferentCallsAreAnErrorOnEveryRankThatNamesBoth) {
  run([](Communicator& c) {
    std::vector<float> a(5000, 1.0f), b(5000);
    ASSERT_TRUE(c.barrier().has_value());
    const std::size_t count = c.rank() == 1 ? 4000 : 5000;
    const auto r = c.all_reduce(a.data(), b.data(), count, DType::kFloat32, ReduceOp::kSum);
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code(), Errc::kCorrupt) << r.error().message();
    EXPECT_NE(r.error().message().find("rank 1"), std::string::npos) << r.error().message();
    EXPECT_NE(r.error().message().find("4000 elements"), std::string::npos) << r.error().message();
    EXPECT_NE(r.error().message().find("5000 elements"), std::string::npos) << r.error().message();
    // From now on every call says the same.
    EXPECT_EQ(c.barrier().error().message(), r.error().message());
  });
}

TEST_P(CommunicatorTest, ARankThatDoesNotCallIsNamedByAllOthers) {
  run_ranks(GetParam().ranks, config_of(GetParam()), [](Communicator& c) {
    std::vector<float> a(100, 1.0f);
    ASSERT_TRUE(c.barrier().has_value());
    if (c.rank() == 1) {
      while (!c.failed()) std::this_thread::sleep_for(1ms);
      return;
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto r = c.all_reduce(a.data(), a.data(), 100, DType::kFloat32, ReduceOp::kSum, nullptr, {.timeout = 300ms});
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code(), Errc::kTimeout) << r.error().message();
    EXPECT_NE(r.error().message().find("rank 1 "), std::string::npos) << r.error().message();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
    EXPECT_NE(c.flight_json().find("\"state\":\"failed\""), std::string::npos);
  });
}

TEST_P(CommunicatorTest, AbortEndsARunningCallAndSurvivorsShrink) {
  run([](Communicator& c) {
    std::vector<float> a(1000, 1.0f);
    // The abort may meet the others still on their way out of the barrier.
    const auto met = c.barrier();
    if (c.rank() == c.size() - 1) {
      ASSERT_TRUE(met.has_value());
      c.abort("enough");
    } else {
      const auto r = !met ? met : c.all_reduce(a.data(), a.data(), 1000, DType::kFloat32, ReduceOp::kSum);
      ASSERT_FALSE(r.has_value());
      EXPECT_EQ(r.error().code(), Errc::kCancelled) << r.error().message();
      EXPECT_NE(r.error().message().find("enough"), std::string::npos);
    }
    const int last = c.size() - 1;
    auto smaller = c.shrink(std::span(&last, 1));
    if (c.rank() == last) {
      EXPECT_EQ(smaller.error().code(), Errc::kInvalidArgument);
      return;
    }
    ASSERT_TRUE(smaller.has_value()) << smaller.error().message();
    EXPECT_EQ((*smaller)->size(), last);
    std::vector<float> b(1000, 1.0f);
    ASSERT_TRUE((*smaller)->all_reduce(b.data(), b.data(), 1000, DType::kFloat32, ReduceOp::kSum).has_value());
    EXPECT_EQ(b[999], static_cast<float>(last));
  });
}

TEST_P(CommunicatorTest, ExplainNamesTransportAndPathForEveryCollective) {
  const bool by_network = GetParam().hosts != 1;
  run([by_network](Communicator& c) {
    for (int k = 0; k < static_cast<int>(Collective::kSendRecv); ++k)
      for (const std::uint64_t count : {1ULL, 1ULL << 14, 1ULL << 24}) {
        const auto plan = c.explain(static_cast<Collective>(k), DType::kFloat32, count);
        EXPECT_NE(plan.json.find("\"schema\":\"ff.plan/1\""), std::string::npos);
        if (by_network && c.rank() == 0) EXPECT_NE(plan.json.find("network_algorithm"), std::string::npos) << plan.text;
        if (!by_network) EXPECT_NE(plan.json.find("window_path"), std::string::npos) << plan.text;
      }
  });
}

INSTANTIATE_TEST_SUITE_P(Topologies, CommunicatorTest,
                         ::testing::Values(Topology{"TwoOnOneHost", 2, 1}, Topology{"FiveOnOneHost", 5, 1},
                                           Topology{"TwoOverTcp", 2, 0}, Topology{"FiveOverTcp", 5, 0},
                                           Topology{"FourOnTwoHosts", 4, 2}, Topology{"SevenOnThreeHosts", 7, 3}),
                         [](const auto& p) { return std::string(p.param.name); });

// --- properties across topologies ---

std::vector<float> sum_over(const Topology& t, Config config, std::size_t count, std::size_t take) {
  std::vector<float> out(count);
  run_ranks(t.ranks, config_of(t, std::move(config)), [&](Communicator& c) {
    const auto mine = testing::rough_floats(c.rank(), take);
    std::vector<float> result(count);
    ASSERT_TRUE(c.all_reduce(mine.data(), result.data(), count, DType::kFloat32, ReduceOp::kSum).has_value());
    if (c.rank() == 0) out = result;
  });
  return out;
}

TEST(Determinism, BitsDoNotDependOnPlacementTransportOrSize) {
  Config config = test_config();
  config.deterministic = true;
  const std::size_t count = 40'000;
  for (const int ranks : {4, 6}) {
    std::vector<std::vector<float>> inputs;
    for (int r = 0; r < ranks; ++r) inputs.push_back(testing::rough_floats(r, count));
    std::vector<float> want(count);
    for (std::size_t i = 0; i < count; ++i) want[i] = testing::pairwise_sum(inputs, i, 0, inputs.size());
    for (const int hosts : {0, 1, 2, 3})
      for (const std::size_t part : {1ul, 200ul, 3000ul, count}) {
        const auto got = sum_over({"", ranks, hosts}, config, part, count);
        ASSERT_EQ(std::memcmp(got.data(), want.data(), part * 4), 0)
            << ranks << " ranks, " << hosts << " hosts, " << part;
      }
  }
}

TEST(Determinism, PairwiseOrderIsTheDefaultOnOneHostAndOverTcp) {
  const std::size_t count = 100'000;
  std::vector<std::vector<float>> inputs;
  for (int r = 0; r < 5; ++r) inputs.push_back(testing::rough_floats(r, count));
  for (const int hosts : {0, 1})
    for (const std::size_t part : {10ul, 5000ul, count}) {
      const auto got = sum_over({"", 5, hosts}, test_config(), part, count);
      for (std::size_t i = 0; i < part; ++i)
        ASSERT_EQ(got[i], testing::pairwise_sum(inputs, i, 0, 5)) << hosts << " " << part;
    }
}

// --- the hierarchy's special cases ---

constexpr Topology kFourOnTwoHosts{"FourOnTwoHosts", 4, 2};

TEST(Hierarchy, AGroupOfFp8SumsIsPackedAndWidenedAtOnce) {
  run_ranks(4, config_of(kFourOnTwoHosts), [](Communicator& c) {
    constexpr std::size_t kA = 500, kB = 70;
    std::vector<float> values(kA, 0.5f), sums(kA);
    std::vector<std::byte> a(kA), b(kB), a_sum(kA), b_sum(kB);
    cpu::narrow(DType::kFloat8E4M3, values.data(), a.data(), kA);
    std::fill(values.begin(), values.end(), 2.0f);
    cpu::narrow(DType::kFloat8E4M3, values.data(), b.data(), kB);
    for (int round = 0; round < 2; ++round) {
      c.group_start();
      ASSERT_TRUE(c.all_reduce(a.data(), a_sum.data(), kA, DType::kFloat8E4M3, ReduceOp::kSum).has_value());
      ASSERT_TRUE(c.all_reduce(b.data(), b_sum.data(), kB, DType::kFloat8E4M3, ReduceOp::kSum).has_value());
      ASSERT_TRUE(c.group_end().has_value());
      cpu::widen(DType::kFloat8E4M3, a_sum.data(), sums.data(), kA);
      for (std::size_t i = 0; i < kA; ++i) ASSERT_EQ(sums[i], 2.0f) << i;
      cpu::widen(DType::kFloat8E4M3, b_sum.data(), sums.data(), kB);
      for (std::size_t i = 0; i < kB; ++i) ASSERT_EQ(sums[i], 8.0f) << i;
    }
  });
}

TEST(Hierarchy, EveryNetworkAlgorithmAndAnyChunkStreams) {
  using enum NetAlgorithm;
  constexpr std::uint64_t kLarge = 4 << 20;
  const std::vector<std::pair<NetAlgorithm, std::uint64_t>> cases{
      {kFlat, 0}, {kRecursiveDoubling, 0}, {kDirect, 0},    {kTree, 0},
      {kRing, 0}, {kDirect, kLarge},       {kTree, kLarge}, {kRing, kLarge}};
  for (const auto& [algorithm, chunk] : cases) {
    Config config = test_config();
    config.timeout = 10s;
    config.algorithm = algorithm;
    config.net_chunk_bytes = chunk;
    run_ranks(4, config_of(kFourOnTwoHosts, config), [&](Communicator& c) {
      const std::size_t count = (4 << 20) / 4 + 1001;  // several pieces, the last one short
      std::vector<std::int32_t> data(count);
      for (std::size_t i = 0; i < count; ++i) data[i] = static_cast<std::int32_t>(i) + c.rank();
      const auto r = c.all_reduce(data.data(), data.data(), count, DType::kInt32, ReduceOp::kSum);
      ASSERT_TRUE(r.has_value()) << net_algorithm_name(algorithm) << " " << chunk << ": " << r.error().message();
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(data[i], static_cast<std::int32_t>(4 * i + 6)) << i;
    });
  }
}

TEST(Communicator, DisplacementsOfAllGatherVMustAgree) {
  for (const int hosts : {0, 1})
    run_ranks(2, config_of({"", 2, hosts}), [](Communicator& c) {
      const std::vector<std::uint64_t> counts{2000, 2000};
      const std::vector<std::uint64_t> displs{0, c.rank() == 0 ? 2000ul : 2001ul};
      std::vector<float> mine(2000, 1.0f), all(4001);
      const auto r = c.all_gather_v(mine.data(), all.data(), counts, displs, DType::kFloat32);
      ASSERT_FALSE(r.has_value());
      EXPECT_EQ(r.error().code(), Errc::kCorrupt) << r.error().message();
    });
}

TEST(Communicator, AGroupLeftOpenDoesNotOutliveItsCommunicator) {
  for (int i = 0; i < 4; ++i) {  // the next one is likely to have the address of the last
    auto c = Communicator::create({}, 0, 1, test_config());
    ASSERT_TRUE(c.has_value());
    float a = 1, b = 0;
    ASSERT_TRUE((*c)->all_reduce(&a, &b, 1, DType::kFloat32, ReduceOp::kSum).has_value());
    EXPECT_EQ(b, 1) << "must run at once";
    (*c)->group_start();
  }
}

TEST(Communicator, AListeningSocketThatIsNotNeededIsClosed) {
  const auto open_fd = [] { return ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100); };
  const auto closed = [](int fd) { return ::fcntl(fd, F_GETFD) == -1; };
  const int of_one = open_fd();
  ::setenv("RANK", "0", 1);
  ::setenv("WORLD_SIZE", "1", 1);
  ::setenv("HFR_LISTEN_FD", std::to_string(of_one).c_str(), 1);
  EXPECT_TRUE(Communicator::from_environment(test_config()).has_value());
  EXPECT_TRUE(closed(of_one));
  EXPECT_EQ(std::getenv("HFR_LISTEN_FD"), nullptr);
  ::unsetenv("RANK");
  ::unsetenv("WORLD_SIZE");

  // A rank other than 0; nobody listens there.
  const int of_other = open_fd();
  Config config = test_config();
  config.connect_timeout = 50ms;
  EXPECT_FALSE(Communicator::create({"127.0.0.1", 1, std::string(32, '0')}, 1, 2, config, of_other).has_value());
  EXPECT_TRUE(closed(of_other));
}

TEST(Communicator, OneRankNeedsNoRendezvous) {
  auto c = Communicator::create({}, 0, 1, test_config());
  ASSERT_TRUE(c.has_value());
  std::vector<float> a{1, 2, 3}, b(3);
  ASSERT_TRUE((*c)->all_reduce(a.data(), b.data(), 3, DType::kFloat32, ReduceOp::kAvg).has_value());
  EXPECT_EQ(b, a);
  ASSERT_TRUE((*c)->barrier().has_value());
  (*c)->abort("done");
  EXPECT_EQ((*c)->barrier().error().code(), Errc::kCancelled);
}

TEST(Communicator, OtherSettingsOnOneRankAreRefused) {
  const auto id = Communicator::create_id();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      Config config = test_config();
      config.deterministic = rank == 1;
      const auto c = Communicator::create(*id, rank, 2, config);
      ASSERT_FALSE(c.has_value());
      EXPECT_NE(c.error().message().find("settings"), std::string::npos) << c.error().message();
    });
  for (auto& t : threads) t.join();
}

TEST(UniqueId, TextRoundTripAndRefusals) {
  const auto id = Communicator::create_id();
  ASSERT_TRUE(id.has_value());
  const auto back = UniqueId::from_text(id->to_text());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->port, id->port);
  EXPECT_EQ(back->token, id->token);
  for (const char* bad :
       {"", "hfr1|127.0.0.1|80", "hfr2|a|1|00000000000000000000000000000000",
        "hfr1|a|0|00000000000000000000000000000000", "hfr1|a|99999|00000000000000000000000000000000", "hfr1|a|80|xyz"})
    EXPECT_FALSE(UniqueId::from_text(bad).has_value()) << bad;
}

}  // namespace
}  // namespace ff::hfreduce
