// The conformance suite over real sockets: both backends, TLS, Unix sockets, checksums.
#include "libcommon/net/tcp_network.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>

#include "libcommon/net/tcp_connection.hpp"
#include "tests/support/connection_conformance.hpp"
#include "tests/support/tcp_world.hpp"

namespace {

// Look-ups of names that end in ".slow.test".
constexpr std::chrono::milliseconds kSlowLookup{400};
std::atomic<int> slow_lookups = 0, slow_lookups_now = 0, slow_lookups_most = 0;

}  // namespace

// In place of the C library's: names that end in ".slow.test" are this machine, after some time.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** out) {
  static const auto real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  if (host == nullptr || !std::string_view(host).ends_with(".slow.test") || (hints->ai_flags & AI_NUMERICHOST) != 0)
    return real(host, service, hints, out);
  ++slow_lookups;
  const int now = ++slow_lookups_now;
  for (int most = slow_lookups_most; most < now && !slow_lookups_most.compare_exchange_weak(most, now);) {
  }
  std::this_thread::sleep_for(kSlowLookup);
  --slow_lookups_now;
  return real("127.0.0.1", service, hints, out);
}

namespace ff::testing {
namespace {

using runtime::Backend;

NamedWorld world(std::string name, TcpWorldOptions options) {
  return {std::move(name), [options] { return std::make_unique<TcpWorld>(options); }};
}

INSTANTIATE_TEST_SUITE_P(Tcp, ConnectionConformance,
                         ::testing::Values(world("auto", {.backend = Backend::kAuto}),
                                           world("epoll", {.backend = Backend::kEpoll}),
                                           world("unix", {.unix_socket = true}), world("tls", {.tls = true}),
                                           world("checksum", {.bulk_checksum = true})),
                         world_name);

using namespace std::chrono_literals;
using runtime::Task;

std::shared_ptr<net::Network> keyless_network(TcpWorld& world) {
  net::TcpOptions options;
  options.endpoint = test_endpoint("local", 1);
  options.endpoint.key = nullptr;
  options.endpoint.insecure = true;
  return *net::make_tcp_network(world.env(), std::move(options));
}

// What a keyless client is told by a server with a key, over a Unix socket.
Task<void> knock_without_key(TcpWorld& world, Result<>& answer, std::optional<net::PeerIdentity>& seen) {
  auto listener = co_await world.server().listen(world.listen_at());
  FF_CO_ASSERT(listener);
  const auto network = keyless_network(world);
  const auto connection = co_await network->connect(only((*listener)->address()), {.timeout = 1s});
  if (connection) {
    const auto accepted = co_await (*listener)->accept();
    FF_CO_ASSERT(accepted);
    seen = (*accepted)->peer();
  } else {
    answer = fail(connection.error());
  }
  co_await network->stop();
}

TEST(TcpNetwork, AUserThatIsTrustedNeedsNoKeyOverAUnixSocket) {
  TcpWorldOptions options{.unix_socket = true};
  options.tcp.trusted_uids = {::geteuid()};
  TcpWorld world(options);
  Result<> answer;
  std::optional<net::PeerIdentity> seen;
  world.run(knock_without_key(world, answer, seen));
  ASSERT_TRUE(answer) << answer.error().message();
  ASSERT_TRUE(seen && seen->local);
  EXPECT_FALSE(seen->authenticated);
  EXPECT_EQ(seen->local->uid, ::geteuid());
  EXPECT_EQ(seen->local->pid, ::getpid());
}

TEST(TcpNetwork, EveryLocalUserMayBeTrusted) {
  TcpWorldOptions options{.unix_socket = true};
  options.tcp.trusted_uids = {net::kAnyUser};
  TcpWorld world(options);
  Result<> answer;
  std::optional<net::PeerIdentity> seen;
  world.run(knock_without_key(world, answer, seen));
  ASSERT_TRUE(answer) << answer.error().message();
  ASSERT_TRUE(seen && seen->local);
  EXPECT_FALSE(seen->authenticated);
}

TEST(TcpNetwork, AnotherUserNeedsTheKey) {
  TcpWorldOptions options{.unix_socket = true};
  options.tcp.trusted_uids = {::geteuid() + 1};
  TcpWorld world(options);
  Result<> answer;
  std::optional<net::PeerIdentity> seen;
  world.run(knock_without_key(world, answer, seen));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Errc::kPermission);
}

TEST(TcpNetwork, TrustByUserDoesNotHoldOverTcp) {
  TcpWorldOptions options;
  options.tcp.trusted_uids = {::geteuid()};
  TcpWorld world(options);
  Result<> answer;
  std::optional<net::PeerIdentity> seen;
  world.run(knock_without_key(world, answer, seen));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Errc::kPermission);
}

int dscp_of(int fd) {
  int tos = -1;
  socklen_t length = sizeof tos;
  ::getsockopt(fd, IPPROTO_IP, IP_TOS, &tos, &length);
  return tos >> 2;
}

TEST(TcpNetwork, BothEndsMarkAllLanesByTheTrafficClass) {
  TcpWorld world;
  world.run([](TcpWorld& w) -> Task<void> {
    auto listener = co_await w.server().listen(w.listen_at());
    FF_CO_ASSERT(listener);
    auto client = co_await w.client().connect(only((*listener)->address()), {.traffic = net::TrafficClass::kStorage});
    auto server = co_await (*listener)->accept();
    FF_CO_ASSERT(client && server);
    RecordingEnd a(*client), b(*server);
    a.start();
    b.start();
    std::vector<std::byte> memory(100);
    auto exposure = (*server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    EXPECT_TRUE(co_await (*client)->push(std::vector<std::byte>(100), (*exposure)->remote()));
    for (const auto& connection : {*client, *server}) {
      const auto lanes = static_cast<net::TcpConnection&>(*connection).bulk_lane_fds();
      FF_CO_ASSERT(lanes.size() == 1);
      EXPECT_EQ(dscp_of(lanes[0]), net::traffic_class_marks(net::TrafficClass::kStorage).dscp);
    }
    co_await (*exposure)->revoke();
    (*client)->close(Error(Errc::kCancelled, "done"));
    EXPECT_TRUE(co_await a.until([&] { return a.closed.has_value(); }));
    EXPECT_TRUE(co_await b.until([&] { return b.closed.has_value(); }));
  }(world));
}

TEST(TcpNetwork, TlsAndPlainDoNotTalk) {
  TcpWorldOptions options{.tls = true};
  options.tcp.handshake_timeout = 500ms;
  TcpWorld world(options);
  world.run([](TcpWorld& w) -> Task<void> {
    auto listener = co_await w.server().listen(w.listen_at());
    FF_CO_ASSERT(listener);
    net::TcpOptions plain;
    plain.endpoint = test_endpoint("plain", 2);
    const auto network = *net::make_tcp_network(w.env(), plain);
    EXPECT_FALSE(co_await network->connect(only((*listener)->address()), {.timeout = 1s}));
    co_await network->stop();
    EXPECT_TRUE(co_await w.client().connect(only((*listener)->address()), {}));
  }(world));
}

TEST(TcpNetwork, PlainBulkIsNotCopiedInUserSpaceAndTlsSaysWhatItCopies) {
  for (const bool tls : {false, true}) {
    TcpWorld world({.tls = tls});
    world.run([](TcpWorld& w, bool copies) -> Task<void> {
      auto ends = co_await join_ends(w);
      FF_CO_ASSERT(ends);
      std::vector<std::byte> memory(1'000'000), into(memory.size());
      auto exposure = (*ends->server)->expose(memory, net::Access::kBoth);
      FF_CO_ASSERT(exposure);
      EXPECT_TRUE(co_await (*ends->client)->push(into, (*exposure)->remote()));
      EXPECT_TRUE(co_await (*ends->client)->pull((*exposure)->remote(), into));
      (void)co_await runtime::sleep(20ms);  // the counters are of finished writes
      for (const net::TcpStats& stats : {w.client_stats(), w.server_stats()}) {
        EXPECT_EQ(stats.bulk_bytes_moved, 2 * memory.size());
        EXPECT_EQ(stats.bulk_bytes_copied, copies ? 2 * memory.size() : 0);
      }
      co_await (*exposure)->revoke();
      (*ends->client)->close(Error(Errc::kCancelled, "done"));
      EXPECT_TRUE(co_await ends->client->until([&] { return ends->client->closed.has_value(); }));
      EXPECT_TRUE(co_await ends->server->until([&] { return ends->server->closed.has_value(); }));
    }(world, tls));
  }
}

TEST(TcpNetwork, ConnectsTimeoutCoversTheResolver) {
  slow_lookups = slow_lookups_most = 0;
  TcpWorld world;
  world.run([](TcpWorld& w) -> Task<void> {
    const runtime::Time begin = w.env().now();
    std::vector<Task<Result<std::shared_ptr<net::Connection>>>> connects;
    for (int i = 0; i < 8; ++i)
      connects.push_back(
          w.client().connect(only(net::Address::tcp(std::to_string(i) + ".slow.test", 9)), {.timeout = 50ms}));
    for (const auto& result : co_await runtime::when_all(std::move(connects))) {
      FF_CO_ASSERT(!result);
      EXPECT_EQ(result.error().code(), Errc::kTimeout) << result.error().message();
    }
    EXPECT_LT(w.env().now() - begin, kSlowLookup - 50ms);
    // What was asked in vain does not stand in the way of others for long, and stop() does not wait for more.
    co_await w.client().stop();
    EXPECT_LT(w.env().now() - begin, 2 * kSlowLookup);
  }(world));
  EXPECT_LE(slow_lookups, 2);
}

TEST(TcpNetwork, LookUpsAreFewAtATimeAndLanesNeedNone) {
  slow_lookups = slow_lookups_most = 0;
  TcpWorld world;
  world.run([](TcpWorld& w) -> Task<void> {
    auto listener = co_await w.server().listen(w.listen_at());
    FF_CO_ASSERT(listener);
    const std::uint16_t port = (*listener)->address().port;
    std::vector<Task<Result<std::shared_ptr<net::Connection>>>> connects;
    for (int i = 0; i < 4; ++i)
      connects.push_back(w.client().connect(only(net::Address::tcp("a.slow.test", port)), {}));
    const auto clients = co_await runtime::when_all(std::move(connects));
    for (const auto& client : clients) FF_CO_ASSERT(client);
    EXPECT_EQ(slow_lookups_most, 2);
    EXPECT_TRUE((*clients[0])->peer_text().starts_with("a.slow.test:")) << (*clients[0])->peer_text();
    const int before = slow_lookups;
    std::vector<std::unique_ptr<RecordingEnd>> ends;
    for (int i = 0; i < 4; ++i) {
      auto server = co_await (*listener)->accept();
      FF_CO_ASSERT(server);
      ends.push_back(std::make_unique<RecordingEnd>(*server));
      ends.push_back(std::make_unique<RecordingEnd>(*clients[static_cast<std::size_t>(i)]));
    }
    for (auto& end : ends) end->start();
    std::vector<std::byte> memory(100);
    auto exposure = (*ends[0])->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    // Whichever is the other end: to one of them this memory is known.
    bool pushed = false;
    for (const auto& client : clients)
      pushed = pushed || (co_await (*client)->push(std::vector<std::byte>(100), (*exposure)->remote())).has_value();
    EXPECT_TRUE(pushed);
    EXPECT_EQ(slow_lookups, before);
    co_await (*exposure)->revoke();
    for (const auto& client : clients) (*client)->close(Error(Errc::kCancelled, "done"));
    for (auto& end : ends) EXPECT_TRUE(co_await end->until([&] { return end->closed.has_value(); }));
  }(world));
}

TEST(TcpNetwork, AtTheBoundOfConnectionsThoseThatStandStillGetTheirLanes) {
  TcpWorldOptions options;
  options.tcp.connections_max = 1;
  TcpWorld world(options);
  world.run([](TcpWorld& w) -> Task<void> {
    auto ends = co_await join_ends(w);
    FF_CO_ASSERT(ends);
    const std::uint64_t refused = w.server_stats().refused;
    EXPECT_FALSE(co_await w.client().connect(only(ends->listener->address()), {.timeout = 1s}));
    EXPECT_EQ(w.server_stats().refused, refused + 1);
    std::vector<std::byte> memory(100);
    auto exposure = (*ends->server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    const std::vector<std::byte> data(100);
    const Result<> pushed =
        co_await runtime::with_timeout(3s, "push", (*ends->client)->push(data, (*exposure)->remote()));
    EXPECT_TRUE(pushed) << pushed.error().message();
    co_await (*exposure)->revoke();
    (*ends->client)->close(Error(Errc::kCancelled, "done"));
    EXPECT_TRUE(co_await ends->client->until([&] { return ends->client->closed.has_value(); }));
    EXPECT_TRUE(co_await ends->server->until([&] { return ends->server->closed.has_value(); }));
    EXPECT_TRUE(co_await w.client().connect(only(ends->listener->address()), {.timeout = 1s}));  // there is room again
  }(world));
}

TEST(TcpNetwork, StopUnderACancelledContextLingersAndJoinsAllTheSame) {
  TcpWorld world;
  world.run([](TcpWorld& w) -> Task<void> {
    auto ends = co_await join_ends(w);
    FF_CO_ASSERT(ends);
    constexpr std::size_t kMessages = 7;
    for (std::size_t i = 0; i < kMessages; ++i) EXPECT_TRUE((*ends->client)->send(net::Message(1u << 20)));
    runtime::Context cancelled(w.env());
    cancelled.cancel(Error(Errc::kCancelled, "the program ends"));
    runtime::Scope scope(co_await runtime::current_context());
    scope.spawn(w.client().stop());
    co_await runtime::yield();
    co_await w.client().stop().under(cancelled);
    EXPECT_EQ(w.client_stats().connections_now, 0u);
    EXPECT_TRUE(ends->client->closed);
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(co_await ends->server->until([&] { return ends->server->closed.has_value(); }));
    EXPECT_EQ(ends->server->received, kMessages);
  }(world));
  TcpWorld alone;
  alone.run([](TcpWorld& w) -> Task<void> {
    auto ends = co_await join_ends(w);
    FF_CO_ASSERT(ends);
    constexpr std::size_t kMessages = 7;
    for (std::size_t i = 0; i < kMessages; ++i) EXPECT_TRUE((*ends->client)->send(net::Message(1u << 20)));
    runtime::Context cancelled(w.env());
    cancelled.cancel(Error(Errc::kCancelled, "the program ends"));
    co_await w.client().stop().under(cancelled);
    EXPECT_EQ(w.client_stats().connections_now, 0u);
    EXPECT_TRUE(co_await ends->server->until([&] { return ends->server->closed.has_value(); }));
    EXPECT_EQ(ends->server->received, kMessages);
  }(alone));
}

TEST(TcpNetwork, AConnectionStartedAfterStopIsToldThatItIsClosed) {
  TcpWorld world;
  world.run([](TcpWorld& w) -> Task<void> {
    auto ends = co_await join_ends(w, false);
    FF_CO_ASSERT(ends);
    co_await w.client().stop();
    ends->client->start();
    EXPECT_FALSE(ends->client->closed);  // never from inside a call
    EXPECT_TRUE(co_await ends->client->until([&] { return ends->client->closed.has_value(); }, 2s));
    EXPECT_EQ(ends->client->times_closed, 1);
  }(world));
}

TEST(TcpNetwork, RefusesOptionsOutOfRange) {
  TcpWorld world;
  const auto refused = [&](auto change) {
    net::TcpOptions options;
    options.endpoint = test_endpoint("x", 1);
    change(options);
    const auto network = net::make_tcp_network(world.env(), options);
    return !network && network.error().code() == Errc::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.endpoint.key = nullptr; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.endpoint.insecure = true; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.lanes_per_plane = 0; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.lanes_per_plane = 16; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.segment_bytes = 1; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.lane_window_bytes = 1; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.send_queue_bytes = 0; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.send_queue_bytes = (64u << 10) - 1; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.assembly_bytes = net::kMessageBytesMax; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.pending_handshakes_max = 0; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.ping_interval = o.peer_timeout; }));
  EXPECT_TRUE(refused([](net::TcpOptions& o) { o.linger = runtime::Duration(0); }));
  world.run([]() -> Task<void> { co_return; }());
}

}  // namespace
}  // namespace ff::testing
