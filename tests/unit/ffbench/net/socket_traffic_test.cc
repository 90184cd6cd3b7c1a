// Both ends of a test over sockets in one process, started apart.
#include "ffbench/net/socket_traffic.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "libcommon/net/socket.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

NetTest test_of(NetPattern pattern, bool sends) {
  NetTest test;
  test.set_token(std::string(kTestTokenBytes, 't'));
  test.set_pattern(pattern);
  test.set_transport(NET_TCP);
  test.set_message_bytes(4096);
  test.set_depth(1);
  test.set_lanes(1);
  test.set_timeout_ns(10'000'000'000);
  NetFlow& flow = *test.add_flows();
  flow.set_sends(sends);
  flow.set_connects(sends);
  flow.set_connections(1);
  return test;
}

struct Outcomes {
  std::optional<Result<NetOutcome>> sender, receiver;
};

Task<Result<>> run_late(Traffic& traffic, Duration late, std::optional<Result<NetOutcome>>& out) {
  NetSchedule schedule;
  schedule.set_lead_ns(5'000'000);
  schedule.set_window_ns(30'000'000);
  schedule.set_tail_ns(5'000'000);
  FF_CO_TRY(co_await runtime::sleep(late));
  out = co_await traffic.run(schedule);
  co_return {};
}

Task<Result<>> run_apart(runtime::Env& env, NetPattern pattern, Duration receiver_late, Outcomes& out) {
  const TrafficHost host;
  const auto sender = make_socket_traffic(env, test_of(pattern, true), host);
  const auto receiver = make_socket_traffic(env, test_of(pattern, false), host);
  FF_CO_TRY_ASSIGN(const NetOpened opened, co_await receiver->open());
  NetPeers peers;
  NetFlow& flow = *peers.add_flows();
  flow.set_connects(true);
  flow.set_peer(net::PeerAddress{{net::Address::tcp("127.0.0.1", static_cast<std::uint16_t>(opened.port()))}}.text());
  FF_CO_TRY(co_await sender->connect(peers));
  FF_CO_TRY(co_await receiver->connect({}));
  FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
    scope.spawn(run_late(*sender, receiver_late < 0ms ? -receiver_late : 0ms, out.sender));
    scope.spawn(run_late(*receiver, std::max<Duration>(receiver_late, 0ms), out.receiver));
    co_return {};
  }));
  co_await sender->close();
  co_await receiver->close();
  co_return {};
}

// The windows lie apart by many times the tail.
TEST(SocketTraffic, EndsThatStartApartAreNotTakenForLostOnes) {
  for (const NetPattern pattern : {NET_BANDWIDTH, NET_LATENCY})
    for (const Duration late : {-200ms, 0ms, 200ms}) {
      auto env = runtime::RealEnv::create({});
      ASSERT_TRUE(env) << env.error().message();
      Outcomes out;
      const Result<> done = (*env)->run(run_apart(**env, pattern, late, out));
      ASSERT_TRUE(done) << done.error().message();
      for (const auto* end : {&out.sender, &out.receiver}) {
        ASSERT_TRUE(end->has_value() && **end) << (*end ? (**end).error().message() : "did not run");
        for (const NetFlowOutcome& flow : (**end)->flows())
          EXPECT_EQ(flow.error(), "") << pattern << " " << late.count() << " " << flow.sends();
      }
      const NetFlowOutcome& received = (*out.receiver)->flows(0);
      if (pattern == NET_BANDWIDTH) EXPECT_GT(received.elapsed_ns(), 0u);
      if (pattern == NET_BANDWIDTH && late >= 0ms) EXPECT_GT(received.bytes(), 0u);
    }
}

Task<Result<>> abort_soon(Traffic& traffic) {
  FF_CO_TRY(co_await runtime::sleep(50ms));
  traffic.abort();
  co_return {};
}

// Its kernel takes the connection; nobody ever answers on it. By itself connect() would end with kTimeout.
TEST(SocketTraffic, AbortEndsAConnectThatWaits) {
  const auto listener = net::listen_on(net::Address::tcp("127.0.0.1", 0));
  ASSERT_TRUE(listener) << listener.error().message();
  const auto at = net::local_address(listener->get());
  ASSERT_TRUE(at) << at.error().message();
  auto env = runtime::RealEnv::create({});
  ASSERT_TRUE(env) << env.error().message();
  const Result<> connected = (*env)->run([](runtime::Env& on, net::Address to) -> Task<Result<>> {
    const TrafficHost host;
    const auto sender = make_socket_traffic(on, test_of(NET_BANDWIDTH, true), host);
    NetPeers peers;
    NetFlow& flow = *peers.add_flows();
    flow.set_connects(true);
    flow.set_peer(net::PeerAddress{{to}}.text());
    runtime::Scope scope(co_await runtime::current_context());
    scope.spawn(abort_soon(*sender));
    Result<> result = co_await sender->connect(peers);
    (void)co_await scope.join();
    co_await sender->close();
    co_return result;
  }(**env, *at));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), Errc::kCancelled) << connected.error().message();
}

}  // namespace
}  // namespace ff::bench
