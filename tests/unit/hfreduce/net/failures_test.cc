// Peers that close, are silent, disagree or are strangers: every rank must end in time and name the right one.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

#include "hfreduce/net/frame.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "tests/unit/hfreduce/net/cluster.hpp"

namespace ff::hfreduce::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

Result<> all_reduce(NetEngine& engine, std::uint64_t seq, std::uint64_t count, Clock::duration limit = 20s) {
  std::vector<float> in(count, 1.0f), out(count);
  return run(engine, {.kind = Collective::kAllReduce,
                      .send = in.data(),
                      .recv = out.data(),
                      .count = count,
                      .seq = seq,
                      .deadline = Deadline::after(limit)});
}

TEST(LostPeer, IsReportedWithinASecond) {
  for (const std::uint64_t count : {std::uint64_t{4}, std::uint64_t{1} << 20}) {
    Cluster cluster(3);
    cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, count)); });
    const auto begin = Clock::now();
    cluster.each([&](int r, NetEngine& engine) {
      if (r == 1)
        cluster.engines[1].reset();  // closes its links, as a killed process does
      else
        EXPECT_FALSE(all_reduce(engine, 2, count));
    });
    EXPECT_LT(Clock::now() - begin, 1s);
    EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kLinkLost);
    EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase + 1);
  }
}

TEST(LostPeer, WithoutAListenerIsReportedWithinASecond) {
  Cluster cluster(2);
  cluster.listeners[1].reset();
  const auto begin = Clock::now();
  EXPECT_FALSE(all_reduce(*cluster.engines[0], 1, 4));
  EXPECT_LT(Clock::now() - begin, 1s);
  EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kLinkLost);
  EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase + 1);
}

class Silent : public ::testing::TestWithParam<NetAlgorithm> {};

TEST_P(Silent, PeerIsNamedAtTheDeadline) {
  Cluster cluster(2, [&](NetOptions& o) { o.algorithm = GetParam(); });
  cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, 5000)); });
  const auto begin = Clock::now();
  EXPECT_FALSE(all_reduce(*cluster.engines[0], 2, 5000, 200ms));
  const auto took = Clock::now() - begin;
  EXPECT_GE(took, 190ms);
  EXPECT_LT(took, 1s);
  EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kTimeout);
  EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase + 1);
  // Broken for good: the next call does not touch the links.
  EXPECT_FALSE(all_reduce(*cluster.engines[0], 3, 5000));
}

INSTANTIATE_TEST_SUITE_P(, Silent,
                         ::testing::Values(NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling, NetAlgorithm::kDirect,
                                           NetAlgorithm::kTree, NetAlgorithm::kRing),
                         [](const auto& info) { return std::string(net_algorithm_name(info.param)); });

TEST(SilentPeer, IsNamedAmongOthersThatWaitForItToo) {
  // With 4 ranks and several chunks per owner every rank waits for every other; only rank 2 never came.
  Cluster cluster(4, [](NetOptions& o) { o.algorithm = NetAlgorithm::kDirect, o.chunk_bytes = 4096; });
  cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, 50000)); });
  cluster.each([&](int r, NetEngine& engine) {
    if (r != 2) {
      EXPECT_FALSE(all_reduce(engine, 2, 50000, 300ms));
    }
  });
  EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kTimeout);
  EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase + 2);
}

TEST(SilentPeer, ThatNeverConnectsIsNamedToo) {
  Cluster cluster(2);
  EXPECT_FALSE(all_reduce(*cluster.engines[1], 1, 4, 200ms));  // the higher rank waits for the connection
  EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kTimeout);
  EXPECT_EQ(cluster.failure.first().suspect, kGlobalBase);
}

TEST(Verdict, EndsAWaitLongBeforeItsDeadline) {
  Cluster cluster(2);
  cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, 4)); });
  std::thread controller([&] {
    std::this_thread::sleep_for(100ms);
    cluster.failure.report({Trouble::Kind::kAborted, -1, "aborted by the user"});
  });
  const auto begin = Clock::now();
  const auto result = all_reduce(*cluster.engines[0], 2, 4);
  controller.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "aborted by the user");
  EXPECT_LT(Clock::now() - begin, 1s);
}

TEST(Mismatch, OfCountsTypesOrCallsIsReported) {
  struct Wrong {
    DType dtype;
    std::uint64_t count, seq;
  };
  for (const NetAlgorithm algorithm : {NetAlgorithm::kAuto, NetAlgorithm::kDirect, NetAlgorithm::kTree})
    for (const Wrong& wrong :
         {Wrong{DType::kFloat32, 5001, 2}, Wrong{DType::kInt32, 5000, 2}, Wrong{DType::kFloat32, 5000, 3}}) {
      Cluster cluster(2, [&](NetOptions& o) { o.algorithm = algorithm; });
      cluster.each([&](int r, NetEngine& engine) {
        EXPECT_TRUE(all_reduce(engine, 1, 100));
        std::vector<float> in(6000), out(6000);
        const OpDesc right{
            .kind = Collective::kAllReduce, .send = in.data(), .recv = out.data(), .count = 5000, .seq = 2};
        OpDesc mine = right;
        if (r == 1) mine.dtype = wrong.dtype, mine.count = wrong.count, mine.seq = wrong.seq;
        EXPECT_FALSE(run(engine, mine));
      });
      EXPECT_EQ(cluster.failure.first().kind, Trouble::Kind::kMismatch) << cluster.failure.first().detail;
      EXPECT_GE(cluster.failure.first().suspect, kGlobalBase);
    }
}

// A connection to the listener from nowhere.
class Stranger {
 public:
  explicit Stranger(const Endpoint& to) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(to.port);
    inet_pton(AF_INET, to.address.c_str(), &address.sin_addr);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval limit{8, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void say(const void* data, std::size_t bytes) {
    EXPECT_EQ(send(fd_.get(), data, bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
  }
  // True when the listener closed without a word.
  bool is_dropped() {
    char c = 0;
    const ssize_t n = recv(fd_.get(), &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }

 private:
  UniqueFd fd_;
};

TEST(Listener, DropsGarbageAndWrongTokensAndServesItsOwn) {
  Cluster cluster(2);
  Stranger garbage(cluster.listeners[1]->endpoint()), forger(cluster.listeners[1]->endpoint());
  const std::string noise(1000, 'x');
  garbage.say(noise.data(), noise.size());
  const auto forged = net::encode_preamble({.from = 0, .to = 1, .token = "ffffffffffffffffffffffffffffffff"});
  forger.say(forged.data(), forged.size());
  EXPECT_TRUE(garbage.is_dropped());
  EXPECT_TRUE(forger.is_dropped());
  cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, 1000)); });
}

TEST(Listener, DropsStrangersWhoSayNothingAfterFiveSeconds) {
  Cluster cluster(2);
  Stranger silent(cluster.listeners[1]->endpoint());
  const auto begin = Clock::now();
  cluster.each([&](int, NetEngine& engine) { EXPECT_TRUE(all_reduce(engine, 1, 1000)); });
  EXPECT_LT(Clock::now() - begin, 2s) << "a silent stranger is in nobody's way";
  EXPECT_TRUE(silent.is_dropped());
  EXPECT_GE(Clock::now() - begin, 4s);
}

TEST(Create, RefusesOptionsThatDoNotFit) {
  FakeFailure failure;
  auto listener = std::move(*NetListener::create("127.0.0.1", "aa"));
  const NetOptions good{.global_ranks = {0},
                        .endpoints = {listener->endpoint()},
                        .same_machine = {true},
                        .token = "aa",
                        .failure = &failure};
  EXPECT_TRUE(NetEngine::create(good, *listener));
  const auto refused = [&](auto change) {
    NetOptions options = good;
    change(options);
    const auto engine = NetEngine::create(options, *listener);
    return !engine && engine.error().code() == Errc::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](NetOptions& o) { o.rank = 1; }));
  EXPECT_TRUE(refused([](NetOptions& o) { o.size = 2; }));
  EXPECT_TRUE(refused([](NetOptions& o) { o.channels = 0; }));
  EXPECT_TRUE(refused([](NetOptions& o) { o.chunk_bytes = 5 << 20; }));
  EXPECT_TRUE(refused([](NetOptions& o) { o.failure = nullptr; }));
  EXPECT_TRUE(refused([](NetOptions& o) { o.token = std::string(129, 'a'); }));
  EXPECT_FALSE(NetListener::create("localhost.invalid", "aa"));
}

}  // namespace
}  // namespace ff::hfreduce::testing
