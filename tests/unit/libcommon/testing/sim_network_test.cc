// Connections of the simulated network: order, backpressure, bulk, cuts, resets, half-open peers.
#include "libcommon/testing/sim_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {
namespace {

using net::Connection;
using runtime::Task;
constexpr std::uint16_t kPort = 9000;

net::Message message(const std::string& text) {
  net::Message out(text.size());
  std::memcpy(out.payload().data(), text.data(), text.size());
  return out;
}

struct Recorder final : net::ConnectionHandler {
  void on_message(Connection&, std::span<const std::byte> data) override {
    got.emplace_back(reinterpret_cast<const char*>(data.data()), data.size());
  }
  void on_closed(Connection&, const Error& why) override {
    ++closed;
    reason = why.message();
  }
  std::vector<std::string> got;
  int closed = 0;
  std::string reason;
};

// Two nodes with one connection between them, driven from the test.
struct Pair {
  explicit Pair(WorldOptions options = {}, std::uint64_t seed = 1) : world(seed, options) {
    world.add_nodes(2);
    world.start(0, [this](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
      FF_CO_TRY_ASSIGN(const auto connection, co_await listener->accept());
      server = connection.get();
      co_return co_await runtime::sleep(10000h);
    });
    world.start(1, [this](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto connection, co_await env.network().connect(env.world().address(0, kPort), {}));
      client = connection.get();
      co_return co_await runtime::sleep(10000h);
    });
    EXPECT_TRUE(world.run_until([&] { return server != nullptr && client != nullptr; }, 10s, "connected"));
  }
  void start() {
    server->start(at_server);
    client->start(at_client);
  }
  // Runs `task` on the client's node; its result.
  template <class F>
  Result<> on_client(F task) {
    std::optional<Result<>> result;
    runtime::Scope scope(*world.env(1));
    scope.spawn(
        [](F body, std::optional<Result<>>& out) -> Task<void> { out = co_await body(); }(std::move(task), result));
    EXPECT_TRUE(world.run_until([&] { return result.has_value(); }, 100s, "client's task"));
    return *result;
  }

  Recorder at_server, at_client;
  SimWorld world;
  Connection* server = nullptr;
  Connection* client = nullptr;
};

TEST(SimNetwork, MessagesArriveInOrderOnceAndWhole) {
  WorldOptions options;
  options.link.latency = Latency::lognormal(1ms, 2);
  options.link.loss = 0.2;
  Pair pair(options);
  pair.start();
  std::vector<std::string> sent;
  for (int i = 0; i < 200; ++i) {
    sent.push_back("message " + std::to_string(i));
    ASSERT_TRUE(pair.client->send(message(sent.back())));
  }
  ASSERT_TRUE(pair.world.run_for(1h));
  EXPECT_EQ(pair.at_server.got, sent);
}

TEST(SimNetwork, UnreliableLinksLoseDuplicateAndReorder) {
  WorldOptions options;
  options.link.unreliable = true;
  options.link.loss = options.link.duplicate = options.link.reorder = 0.2;
  Pair pair(options);
  pair.start();
  std::vector<std::string> sent;
  for (int i = 0; i < 1000; ++i) {
    sent.push_back(std::to_string(1000 + i));
    ASSERT_TRUE(pair.client->send(message(sent.back())));
  }
  ASSERT_TRUE(pair.world.run_for(10s));
  const std::set<std::string> distinct(pair.at_server.got.begin(), pair.at_server.got.end());
  EXPECT_LT(distinct.size(), 900u);
  EXPECT_GT(distinct.size(), 700u);
  EXPECT_GT(pair.at_server.got.size(), distinct.size()) << "some came twice";
  EXPECT_FALSE(std::is_sorted(pair.at_server.got.begin(), pair.at_server.got.end()));
}

TEST(SimNetwork, BandwidthTakesItsTime) {
  WorldOptions options;
  options.link.latency = Latency::constant(1ms);
  options.link.bytes_per_second = 1e6;
  Pair pair(options);
  pair.start();
  ASSERT_TRUE(pair.client->send(message(std::string(500'000, 'x'))));
  const auto start = pair.world.elapsed();
  ASSERT_TRUE(pair.world.run_until([&] { return pair.at_server.got.size() == 1; }, 10s));
  EXPECT_GE(pair.world.elapsed() - start, 500ms);
  EXPECT_LT(pair.world.elapsed() - start, 600ms);
}

TEST(SimNetwork, DownlinkIsSharedByAllWhoSendToTheNode) {
  WorldOptions options;
  options.link.latency = Latency::constant(1ms);
  SimWorld world(1, options);
  world.add_nodes(3);
  world.network().set_downlink(0, 1e6);
  Recorder at_server, at_client;
  world.start(0, [&](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
    for (;;) {
      FF_CO_TRY_ASSIGN(const auto connection, co_await listener->accept());
      connection->start(at_server);
      if (!connection->send(message(std::string(500'000, 'y')))) co_return fail(Errc::kInternal, "not sent");
    }
  });
  for (const NodeId sender : {1u, 2u}) {
    world.start(sender, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto connection, co_await env.network().connect(env.world().address(0, kPort), {}));
      connection->start(at_client);
      FF_CO_TRY(connection->send(message(std::string(500'000, 'x'))));
      co_return co_await runtime::sleep(10000h);
    });
  }
  const auto start = world.elapsed();
  ASSERT_TRUE(world.run_until([&] { return at_client.got.size() == 2; }, 10s));
  EXPECT_LT(world.elapsed() - start, 10ms);  // the other way there is no limit
  ASSERT_TRUE(world.run_until([&] { return at_server.got.size() == 1; }, 10s));
  EXPECT_GE(world.elapsed() - start, 500ms);
  ASSERT_TRUE(world.run_until([&] { return at_server.got.size() == 2; }, 10s));
  EXPECT_GE(world.elapsed() - start, 1000ms);  // though each has a link of its own
  EXPECT_LT(world.elapsed() - start, 1100ms);
}

TEST(SimNetwork, SlowReaderIsFeltBySender) {
  WorldOptions options;
  options.network.window_bytes = 1000;
  options.network.queue_bytes_max = 100'000;
  Pair pair(options);
  pair.start();
  pair.server->pause_reading();
  int accepted = 0;
  while (pair.client->send(message(std::string(500, 'x')))) ++accepted;
  EXPECT_EQ(accepted, 2 + 200) << "the window and the queue";
  EXPECT_EQ(pair.client->queued_bytes(), 100'000u);
  EXPECT_EQ(pair.client->send(message("y")).error().code(), Errc::kExhausted);
  pair.world.after(1s, [&] { pair.server->resume_reading(); });
  const auto asked = pair.world.elapsed();
  EXPECT_TRUE(pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->writable(); }));
  EXPECT_GE(pair.world.elapsed() - asked, 1s);
  ASSERT_TRUE(pair.world.run_for(10s));
  EXPECT_EQ(pair.at_server.got.size(), 202u);
}

TEST(SimNetwork, RefusesOnlyWhenTheBoundIsQueuedAlready) {
  WorldOptions options;
  options.network.window_bytes = 1000;
  options.network.queue_bytes_max = 64u << 10;
  Pair pair(options);
  pair.start();
  pair.server->pause_reading();
  ASSERT_TRUE(pair.client->send(message(std::string(1000, 'x'))));
  ASSERT_TRUE(pair.client->send(message(std::string((64u << 10) - 1, 'x'))));
  // As TCP does: what waits already counts, not what comes.
  EXPECT_TRUE(pair.client->send(message(std::string(1u << 20, 'x'))));
  EXPECT_EQ(pair.client->send(message("y")).error().code(), Errc::kExhausted);
}

TEST(SimNetwork, CloseFlushesThenTellsBothOnce) {
  Pair pair;
  pair.start();
  ASSERT_TRUE(pair.client->send(message("last words")));
  pair.client->close(Error(Errc::kCancelled, "bye"));
  pair.client->close(Error(Errc::kCancelled, "again"));
  EXPECT_TRUE(pair.client->closed());
  EXPECT_EQ(pair.at_client.closed, 0) << "never inside the call";
  EXPECT_EQ(pair.client->send(message("x")).error().code(), Errc::kUnavailable);
  ASSERT_TRUE(pair.world.run_for(1s));
  EXPECT_EQ(pair.at_server.got, std::vector<std::string>{"last words"});
  EXPECT_EQ(pair.at_server.closed, 1);
  EXPECT_EQ(pair.at_client.closed, 1);
  EXPECT_EQ(pair.at_client.reason, "bye");
}

TEST(SimNetwork, ShortCutDelaysLongCutLoses) {
  Pair pair;
  pair.start();
  pair.world.network().cut(0, 1);
  ASSERT_TRUE(pair.client->send(message("patience")));
  ASSERT_TRUE(pair.world.run_for(2s));
  EXPECT_TRUE(pair.at_server.got.empty());
  pair.world.network().heal(0, 1);
  ASSERT_TRUE(pair.world.run_for(2s));
  EXPECT_EQ(pair.at_server.got.size(), 1u);
  pair.world.network().cut_one_way(0, 1);
  ASSERT_TRUE(pair.world.run_for(7s));
  EXPECT_EQ(pair.at_server.closed + pair.at_client.closed, 0);
  ASSERT_TRUE(pair.world.run_for(10s));
  EXPECT_EQ(pair.at_server.closed, 1);
  EXPECT_EQ(pair.at_client.closed, 1);
}

TEST(SimNetwork, OnePlaneCarriesOnAloneAndConnectionDiesWithTheLast) {
  WorldOptions options;
  options.network.planes = 2;
  Pair pair(options);
  pair.start();
  pair.world.network().cut(0, 1, 1u << 0);
  ASSERT_TRUE(pair.client->send(message("over the other")));
  ASSERT_TRUE(pair.world.run_for(60s));
  EXPECT_EQ(pair.at_server.got.size(), 1u);
  pair.world.network().cut(0, 1, 1u << 1);
  ASSERT_TRUE(pair.world.run_for(60s));
  EXPECT_EQ(pair.at_client.closed, 1);
}

TEST(SimNetwork, PowerCutLeavesHalfOpenPeersOrResetsThem) {
  int soon = 0, late = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Pair pair({}, seed);
    pair.start();
    pair.world.kill(0);
    EXPECT_TRUE(pair.world.run_for(1s));
    if (pair.at_client.closed == 1) {
      ++soon;
      continue;
    }
    EXPECT_TRUE(pair.client->send(message("anybody?"))) << "nobody has said that it is gone";
    EXPECT_TRUE(pair.world.run_for(20s));
    late += pair.at_client.closed;
  }
  EXPECT_GT(soon, 5);
  EXPECT_GT(late, 5);
  EXPECT_EQ(soon + late, 40);
}

TEST(SimNetwork, PausedPeerReceivesWhenItIsResumed) {
  Pair pair;
  pair.start();
  pair.world.pause(0);
  ASSERT_TRUE(pair.client->send(message("hello")));
  ASSERT_TRUE(pair.world.run_for(60s));
  EXPECT_TRUE(pair.at_server.got.empty());
  EXPECT_EQ(pair.at_client.closed, 0) << "its kernel answers";
  pair.world.resume(0);
  ASSERT_TRUE(pair.world.run_for(1s));
  EXPECT_EQ(pair.at_server.got.size(), 1u);
}

TEST(SimNetwork, ConnectIsRefusedOrTimesOut) {
  SimWorld world(1);
  world.add_nodes(3);
  std::vector<Errc> codes;
  const auto try_connect = [&](SimEnv& env) -> Task<Result<>> {
    const auto made = co_await env.network().connect(env.world().address(0, kPort), {.timeout = 3s});
    codes.push_back(made ? Errc::kInternal : made.error().code());
    co_return {};
  };
  world.start(1, try_connect);
  ASSERT_TRUE(world.run_until([&] { return world.exited(1); }, 1s));
  world.network().cut(0, 1);
  world.start(1, try_connect);
  ASSERT_TRUE(world.run_until([&] { return world.exited(1); }, 4s));
  EXPECT_EQ(codes, (std::vector<Errc>{Errc::kUnavailable, Errc::kTimeout}));
}

TEST(SimNetwork, PushAndPullMoveBytesOnlyWhereAllowed) {
  Pair pair;
  pair.start();
  std::array<std::byte, 1000> theirs{}, mine{};
  mine.fill(std::byte{7});
  auto exposure = std::move(*pair.server->expose(theirs, net::Access::kBoth));
  const net::RemoteMemory remote = exposure->remote();
  EXPECT_TRUE(pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->push(mine, remote); }));
  EXPECT_EQ(theirs, mine);
  EXPECT_EQ(exposure->arrived(), 1000u);
  theirs.fill(std::byte{9});
  EXPECT_TRUE(pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->pull(remote, mine); }));
  EXPECT_EQ(theirs, mine);
  const net::RemoteMemory outside{remote.region, 500, 1000};
  EXPECT_EQ(
      pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->push(mine, outside); }).error().code(),
      Errc::kInvalidArgument);
  exposure.reset();
  EXPECT_EQ(
      pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->pull(remote, mine); }).error().code(),
      Errc::kNotFound);
}

TEST(SimNetwork, BulkEndsWithTheConnection) {
  Pair pair;
  pair.start();
  std::array<std::byte, 100> theirs{}, mine{};
  auto exposure = std::move(*pair.server->expose(theirs, net::Access::kPush));
  pair.world.network().cut(0, 1);
  const auto result =
      pair.on_client([&]() -> Task<Result<>> { co_return co_await pair.client->push(mine, exposure->remote()); });
  EXPECT_EQ(result.error().code(), Errc::kUnavailable);
}

TEST(SimNetwork, NodeMayDieWithBulkUnderWay) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::vector<std::byte> theirs(1 << 16);
    Recorder at_server;
    net::RemoteMemory remote;
    std::unique_ptr<net::Exposure> exposure;
    SimWorld world(seed);
    world.add_nodes(2);
    world.start(0, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
      FF_CO_TRY_ASSIGN(const auto connection, co_await listener->accept());
      connection->start(at_server);
      FF_CO_TRY_ASSIGN(exposure, connection->expose(theirs, net::Access::kPush));
      remote = exposure->remote();
      co_return co_await runtime::sleep(1000h);
    });
    world.start(1, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto connection, co_await env.network().connect(env.world().address(0, kPort), {}));
      while (remote.region == 0) FF_CO_TRY(co_await runtime::sleep(1ms));
      std::vector<std::byte> mine(1 << 16, std::byte{1});
      for (;;) FF_CO_TRY(co_await connection->push(mine, remote));
    });
    ASSERT_TRUE(world.run_for(5ms + runtime::Duration(seed * 37'000)));
    world.kill(1);
    const std::uint64_t before = exposure ? exposure->arrived() : 0;
    ASSERT_TRUE(world.run_for(60s));
    EXPECT_EQ(at_server.closed, 1) << seed;
    EXPECT_LE(exposure->arrived() - before, theirs.size()) << "at most the push that was under way";
  }
}

// The answer takes as long as its way does when it leaves, also when nodes were added meanwhile.
TEST(SimNetwork, LinksMayChangeWhileAConnectionIsMade) {
  WorldOptions options;
  options.link.latency = Latency::constant(1s);
  for (const std::uint16_t port : {kPort, std::uint16_t{1}}) {  // accepted, refused
    SimWorld world(1, options);
    world.add_nodes(2);
    world.start(0, [](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
      co_return co_await runtime::sleep(1000h);
    });
    runtime::Duration took{};
    world.start(1, [&](SimEnv& env) -> Task<Result<>> {
      const runtime::Time begin = env.now();
      (void)co_await env.network().connect(env.world().address(0, port), {.timeout = 1h});
      took = env.now() - begin;
      co_return {};
    });
    world.after(500ms, [&] {
      world.add_nodes(100);
      world.network().model(0, 1).latency = Latency::constant(10s);
    });
    ASSERT_TRUE(world.run_until([&] { return world.exited(1); }, 1h));
    EXPECT_EQ(took, 11s);
  }
}

}  // namespace
}  // namespace ff::testing
