// Gates (input produced and output consumed by other stages while the network runs) and point to point messages.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/hfreduce/net/cluster.hpp"

namespace ff::hfreduce::testing {
namespace {

using namespace std::chrono_literals;

class GateByAlgorithm : public ::testing::TestWithParam<NetAlgorithm> {};

TEST_P(GateByAlgorithm, InputIsNotReadBeforeItIsReadyAndOutputIsFinalWhenSaid) {
  for (const int n : {1, 2, 3, 5}) {
    const std::uint64_t count = 40000, bytes = count * 4, step = 12000;
    Cluster cluster(n, [&](NetOptions& o) { o.algorithm = GetParam(), o.chunk_bytes = 4096; });
    std::vector<Bytes> inputs;
    for (int r = 0; r < n; ++r) inputs.push_back(make_input(DType::kInt32, count, r, 1));
    const Bytes want = reference(DType::kInt32, ReduceOp::kSum, inputs);
    cluster.each([&](int r, NetEngine& engine) {
      // Until the producer gets there the buffer holds garbage, which would spoil the sum.
      Bytes buffer(bytes, std::byte{0x5a});
      std::atomic<std::uint64_t> ready{0}, done{0};
      std::thread producer([&] {
        for (std::uint64_t at = 0; at < bytes; at += step) {
          const std::uint64_t length = std::min(step, bytes - at);
          std::this_thread::sleep_for(std::chrono::microseconds(300 * (r + 1)));
          std::memcpy(buffer.data() + at, inputs[static_cast<std::size_t>(r)].data() + at, length);
          ready.store(at + length, std::memory_order_release);
        }
      });
      std::thread consumer([&] {
        std::uint64_t checked = 0;
        const Deadline deadline = soon();
        while (checked < bytes && !deadline.expired()) {
          const std::uint64_t now = done.load(std::memory_order_acquire);
          if (now == checked) std::this_thread::sleep_for(20us);
          EXPECT_GE(now, checked) << "only grows";
          EXPECT_EQ(std::memcmp(buffer.data() + checked, want.data() + checked, now - checked), 0);
          checked = now;
        }
        EXPECT_EQ(checked, bytes);
      });
      const auto result = run(engine,
                              {.kind = Collective::kAllReduce,
                               .dtype = DType::kInt32,
                               .send = buffer.data(),
                               .recv = buffer.data(),
                               .count = count,
                               .seq = 1},
                              {.input_ready = &ready, .output_done = &done});
      EXPECT_TRUE(result) << result.error().message();
      producer.join();
      consumer.join();
    });
  }
}

INSTANTIATE_TEST_SUITE_P(, GateByAlgorithm,
                         ::testing::Values(NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling, NetAlgorithm::kDirect,
                                           NetAlgorithm::kTree, NetAlgorithm::kRing),
                         [](const auto& info) { return std::string(net_algorithm_name(info.param)); });

TEST(Gate, OutputBeginsBeforeTheInputIsComplete) {
  // Half of the input is held back until the first output is final: only a streaming algorithm gets past that.
  for (const NetAlgorithm algorithm : {NetAlgorithm::kDirect, NetAlgorithm::kTree, NetAlgorithm::kRing}) {
    const std::uint64_t bytes = 1 << 20;
    Cluster cluster(3, [&](NetOptions& o) { o.algorithm = algorithm, o.chunk_bytes = 16384; });
    cluster.each([&](int, NetEngine& engine) {
      const Bytes input(bytes);
      Bytes out(bytes);
      std::atomic<std::uint64_t> ready{bytes / 2}, done{0};
      std::thread producer([&] {
        const Deadline deadline = soon();
        while (done.load() == 0 && !deadline.expired()) std::this_thread::sleep_for(100us);
        EXPECT_GT(done.load(), 0u);
        EXPECT_LE(done.load(), bytes / 2);
        ready.store(bytes, std::memory_order_release);
      });
      EXPECT_TRUE(
          run(engine,
              {.kind = Collective::kAllReduce, .send = input.data(), .recv = out.data(), .count = bytes / 4, .seq = 1},
              {.input_ready = &ready, .output_done = &done}));
      producer.join();
      EXPECT_EQ(done.load(), bytes);
    });
  }
}

TEST(PointToPoint, LargeExchangesDoNotDeadlock) {
  // Larger than all socket buffers of a pair (4 MiB asked for at each end), everybody with everybody, sends first in
  // every list.
  const int n = 3;
  const std::uint64_t bytes = 24 << 20;
  Cluster cluster(n);
  cluster.each([&](int r, NetEngine& engine) {
    std::vector<Bytes> out, in(n, Bytes(bytes));
    std::vector<P2pOp> ops;
    for (int p = 0; p < n; ++p) out.emplace_back(bytes, static_cast<std::byte>(16 * r + p));
    for (int p = 0; p < n; ++p)
      ops.push_back({.is_send = true, .peer = p, .send = out[static_cast<std::size_t>(p)].data(), .bytes = bytes});
    for (int p = 0; p < n; ++p)
      ops.push_back({.is_send = false, .peer = p, .recv = in[static_cast<std::size_t>(p)].data(), .bytes = bytes});
    Progress progress;
    const auto result = engine.run_p2p(ops, 1, soon(), progress);
    EXPECT_TRUE(result) << result.error().message();
    for (int p = 0; p < n; ++p)
      EXPECT_TRUE(in[static_cast<std::size_t>(p)] == Bytes(bytes, static_cast<std::byte>(16 * p + r)))
          << p << " to " << r;
  });
}

TEST(PointToPoint, MessagesOfAPairMatchInOrder) {
  Cluster cluster(2);
  cluster.each([&](int r, NetEngine& engine) {
    const std::uint64_t sizes[] = {3, 0, 700000, 1, 524288};
    std::vector<Bytes> data;
    std::vector<P2pOp> ops;
    for (std::size_t i = 0; i < 5; ++i) {
      data.emplace_back(sizes[i], r == 0 ? static_cast<std::byte>(i + 1) : std::byte{0});
      ops.push_back(
          {.is_send = r == 0, .peer = 1 - r, .send = data[i].data(), .recv = data[i].data(), .bytes = sizes[i]});
    }
    Progress progress;
    for (std::uint64_t call = 1; call <= 2; ++call) EXPECT_TRUE(engine.run_p2p(ops, call, soon(), progress));
    for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(data[i] == Bytes(sizes[i], static_cast<std::byte>(i + 1)));
  });
}

TEST(PointToPoint, RanksNeedNotMakeTheSameNumberOfCalls) {
  Cluster cluster(3);
  cluster.each([&](int r, NetEngine& engine) {
    Progress progress;
    int value = r;
    const auto pass = [&](bool is_send, int peer, std::uint64_t seq) {
      const P2pOp op{.is_send = is_send, .peer = peer, .send = &value, .recv = &value, .bytes = 4};
      EXPECT_TRUE(engine.run_p2p({&op, 1}, seq, soon(), progress));
    };
    // Along a chain: the middle rank makes two calls, the others one.
    if (r == 0) pass(true, 1, 1);
    if (r == 1) pass(false, 0, 1), pass(true, 2, 2);
    if (r == 2) pass(false, 1, 1);
    EXPECT_EQ(value, 0);
    EXPECT_TRUE(run(engine, {.kind = Collective::kBarrier, .seq = 9}));
  });
}

TEST(PointToPoint, OtherSizesAreAMismatchThatNamesBoth) {
  for (const std::uint64_t sent : {std::uint64_t{100}, std::uint64_t{1} << 20}) {
    Cluster cluster(2);
    cluster.each([&](int r, NetEngine& engine) {
      Bytes data(1 << 20);
      const P2pOp op{
          .is_send = r == 0, .peer = 1 - r, .send = data.data(), .recv = data.data(), .bytes = r == 0 ? sent : 524288};
      Progress progress;
      const auto result = engine.run_p2p({&op, 1}, 1, soon(), progress);
      if (r == 1) {
        EXPECT_FALSE(result);
      }
    });
    EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kMismatch);
    EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase);
    EXPECT_NE(cluster.failure.first().detail.find(std::to_string(sent)), std::string::npos);
    EXPECT_NE(cluster.failure.first().detail.find("524288"), std::string::npos);
  }
}

TEST(PointToPoint, RefusesWhatCannotBe) {
  Cluster cluster(2);
  Progress progress;
  int value = 0;
  const P2pOp stranger{.is_send = true, .peer = 2, .send = &value, .bytes = 4};
  EXPECT_EQ(cluster.engines[0]->run_p2p({&stranger, 1}, 1, soon(), progress).error().code(), Errc::kInvalidArgument);
  const P2pOp alone{.is_send = true, .peer = 0, .send = &value, .bytes = 4};
  EXPECT_EQ(cluster.engines[0]->run_p2p({&alone, 1}, 1, soon(), progress).error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::hfreduce::testing
