// Lanes that die in the middle of bulk: every byte arrives once the transfer has succeeded, messages go on, and what
// was lost is opened again. Two planes: 127.0.0.1 and 127.0.0.2.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "libcommon/net/ping.hpp"
#include "libcommon/net/tcp_connection.hpp"
#include "tests/support/connection_world.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/tcp_world.hpp"

namespace ff::testing {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

std::vector<int> lanes_of(RecordingEnd& end) { return static_cast<net::TcpConnection&>(*end).bulk_lane_fds(); }

// What a cable that is pulled, a switch that restarts or a kernel that runs out of patience look like from here.
void cut(RecordingEnd& end, std::size_t which) {
  const std::vector<int> fds = lanes_of(end);
  if (!fds.empty()) ::shutdown(fds[which % fds.size()], SHUT_RDWR);
}

struct TwoPlanes {
  std::unique_ptr<net::Listener> first, second;
  std::unique_ptr<RecordingEnd> server, client;
};

Task<Result<TwoPlanes>> join_two(TcpWorld& world) {
  TwoPlanes out;
  FF_CO_TRY_ASSIGN(out.first, co_await world.server().listen(net::Address::tcp("127.0.0.1", 0)));
  FF_CO_TRY_ASSIGN(out.second, co_await world.server().listen(net::Address::tcp("127.0.0.2", 0)));
  FF_CO_TRY_ASSIGN(auto client, co_await world.client().connect({{out.first->address(), out.second->address()}}, {}));
  FF_CO_TRY_ASSIGN(auto server, co_await out.first->accept());
  out.client = std::make_unique<RecordingEnd>(std::move(client));
  out.server = std::make_unique<RecordingEnd>(std::move(server));
  out.client->start();
  out.server->start();
  co_return out;
}

struct Case {
  const char* name;
  TcpWorldOptions options;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class NetLaneFault : public ::testing::TestWithParam<Case> {
 protected:
  using Body = Task<void> (*)(TcpWorld&, TwoPlanes&);
  void with_planes(Body body) {
    TcpWorldOptions options = GetParam().options;
    options.tcp.lane_timeout = 1s;
    TcpWorld world(std::move(options));
    world.run(around(world, body));
  }

 private:
  static Task<void> around(TcpWorld& world, Body body) {
    auto planes = co_await join_two(world);
    FF_CO_ASSERT(planes);
    co_await body(world, *planes);
    EXPECT_TRUE((*planes->client)->send(message_of("still there")));
    EXPECT_TRUE(co_await planes->server->until([&] { return planes->server->received == 1; }));
    (*planes->client)->close(Error(Errc::kCancelled, "the test is over"));
    EXPECT_TRUE(co_await planes->client->until([&] { return planes->client->closed.has_value(); }));
    EXPECT_TRUE(co_await planes->server->until([&] { return planes->server->closed.has_value(); }));
  }
};

INSTANTIATE_TEST_SUITE_P(Worlds, NetLaneFault,
                         ::testing::Values(Case{"uring", {}}, Case{"epoll", {.backend = runtime::Backend::kEpoll}},
                                           Case{"tls", {.tls = true}}, Case{"checksum", {.bulk_checksum = true}}),
                         [](const auto& info) { return info.param.name; });

// Cuts lanes of alternating ends each time that another part has arrived.
Task<Result<>> cut_along(RecordingEnd& a, RecordingEnd& b, net::Exposure& exposure, std::uint64_t bytes, int cuts) {
  for (int i = 0; i < cuts; ++i) {
    const std::uint64_t at = bytes / static_cast<unsigned>(cuts + 1) * static_cast<unsigned>(i + 1);
    while (exposure.arrived() < at) FF_CO_TRY(co_await runtime::sleep(100us));
    cut(i % 2 == 0 ? a : b, static_cast<std::size_t>(i) / 2);
  }
  co_return {};
}

TEST_P(NetLaneFault, BothPlanesCarryOnePush) {
  with_planes([](TcpWorld& world, TwoPlanes& planes) -> Task<void> {
    const auto data = pattern(64u << 20, 1);
    std::vector<std::byte> memory(data.size());
    auto exposure = (*planes.server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    for (int i = 0; i < 500 && lanes_of(*planes.client).size() < 2; ++i) {
      EXPECT_TRUE(co_await (*planes.client)->push(std::span(data).first(1), (*exposure)->remote()));
      (void)co_await runtime::sleep(2ms);
    }
    const std::vector<int> lanes = lanes_of(*planes.client);
    FF_CO_ASSERT(lanes.size() == 2);
    EXPECT_TRUE(co_await (*planes.client)->push(data, (*exposure)->remote()));
    EXPECT_TRUE(memory == data);
    EXPECT_EQ((*exposure)->arrived(), data.size());
    // The lanes go to two addresses, and each has carried a good part (the kernel counts).
    std::vector<std::string> hosts;
    for (const int fd : lanes) hosts.push_back(net::peer_address(fd)->host);
    std::ranges::sort(hosts);
    EXPECT_EQ(hosts, (std::vector<std::string>{"127.0.0.1", "127.0.0.2"}));
    EXPECT_EQ(world.client_stats().bulk_segments_resent, 0u);
    if (!GetParam().options.tls) EXPECT_EQ(world.client_stats().bulk_bytes_copied, 0u);
    co_await (*exposure)->revoke();
  });
}

TEST_P(NetLaneFault, APushSurvivesTheLossOfLanesAtBothEnds) {
  with_planes([](TcpWorld& world, TwoPlanes& planes) -> Task<void> {
    const auto data = pattern(64u << 20, 2);
    std::vector<std::byte> memory(data.size());
    // Both directions: the side that opens lanes, and the one that waits for them.
    for (auto [from, to] :
         {std::pair{planes.client.get(), planes.server.get()}, std::pair{planes.server.get(), planes.client.get()}}) {
      std::ranges::fill(memory, std::byte{0});
      auto exposure = (*to)->expose(memory, net::Access::kPush);
      FF_CO_ASSERT(exposure);
      const auto [pushed, cuts] =
          co_await runtime::when_all((*from)->push(data, (*exposure)->remote()),
                                     cut_along(*planes.client, *planes.server, **exposure, data.size(), 4));
      EXPECT_TRUE(pushed) << pushed.error().message();
      EXPECT_TRUE(cuts);
      EXPECT_TRUE(memory == data);
      EXPECT_EQ((*exposure)->arrived(), data.size());  // what was sent twice counts once
      co_await (*exposure)->revoke();
    }
    EXPECT_GE(world.client_stats().lanes_lost, 4u);
    EXPECT_GE(world.client_stats().bulk_segments_resent + world.server_stats().bulk_segments_resent, 1u);
    EXPECT_FALSE((*planes.client)->closed());
  });
}

TEST_P(NetLaneFault, APullSurvivesTheLossOfLanes) {
  with_planes([](TcpWorld&, TwoPlanes& planes) -> Task<void> {
    auto data = pattern(64u << 20, 3);
    std::vector<std::byte> into(data.size());
    auto exposure = (*planes.server)->expose(data, net::Access::kPull);
    FF_CO_ASSERT(exposure);
    const auto cutter = [](TwoPlanes& p) -> Task<Result<>> {
      for (std::size_t i = 0; i < 6; ++i) {
        FF_CO_TRY(co_await runtime::sleep(4ms));
        cut(i % 2 == 0 ? *p.client : *p.server, i);
      }
      co_return {};
    };
    const auto [pulled, cuts] =
        co_await runtime::when_all((*planes.client)->pull((*exposure)->remote(), into), cutter(planes));
    EXPECT_TRUE(pulled) << pulled.error().message();
    EXPECT_TRUE(into == data);
    co_await (*exposure)->revoke();
  });
}

TEST_P(NetLaneFault, WithAllLanesLostAtOnceATransferWaitsForTheirReturn) {
  with_planes([](TcpWorld&, TwoPlanes& planes) -> Task<void> {
    const auto data = pattern(32u << 20, 4);
    std::vector<std::byte> memory(data.size());
    auto exposure = (*planes.server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    const auto cut_all = [](TwoPlanes& p, net::Exposure& e) -> Task<Result<>> {
      while (e.arrived() < (8u << 20)) FF_CO_TRY(co_await runtime::sleep(100us));
      for (const int fd : lanes_of(*p.client)) ::shutdown(fd, SHUT_RDWR);
      co_return {};
    };
    const auto [pushed, cuts] =
        co_await runtime::when_all((*planes.client)->push(data, (*exposure)->remote()), cut_all(planes, **exposure));
    EXPECT_TRUE(pushed) << pushed.error().message();
    EXPECT_TRUE(memory == data);
    co_await (*exposure)->revoke();
  });
}

// A segment of a lost lane may still lie in the receiver's kernel. Memory that is pushed again right after must hold
// the newer bytes, however the older ones were delayed.
TEST_P(NetLaneFault, NoLateSegmentOverwritesNewerBytes) {
  with_planes([](TcpWorld&, TwoPlanes& planes) -> Task<void> {
    constexpr std::size_t kBytes = 8u << 20;
    std::vector<std::byte> memory(kBytes);
    auto exposure = (*planes.server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    std::vector<std::byte> data(kBytes);
    for (std::size_t round = 1; round <= 20; ++round) {
      std::ranges::fill(data, static_cast<std::byte>(round));
      const auto cutter = [](TwoPlanes& p, std::size_t r) -> Task<Result<>> {
        (void)co_await runtime::sleep(std::chrono::microseconds(100 * r));
        cut(*p.client, r);
        co_return {};
      };
      const auto [pushed, cuts] =
          co_await runtime::when_all((*planes.client)->push(data, (*exposure)->remote()), cutter(planes, round));
      EXPECT_TRUE(pushed) << pushed.error().message();
      EXPECT_TRUE(memory == data) << round;
      if (round % 5 == 0) {
        (void)co_await runtime::sleep(5ms);
        EXPECT_TRUE(memory == data) << round;
      }
    }
    co_await (*exposure)->revoke();
  });
}

// A peer in the hands of the test, to see the order of what goes over the wire.
struct Guest {
  Guest(TcpWorld& server, const net::Address& at) : world(server), raw(at) {}
  TcpWorld& world;
  RawPeer raw;
  net::LinkSession link;
  std::unique_ptr<RecordingEnd> end;  // the server's end of its connection
};

class NetFence : public ::testing::Test {
 protected:
  using Body = Task<void> (*)(Guest&, const net::Address&);
  static void with_guest(Body body, TcpWorldOptions options = {}) {
    TcpWorld world(std::move(options));
    world.run(around(world, body));
  }
  static Task<bool> open(RawPeer& lane, Guest& guest, std::uint16_t number) {
    co_return (co_await lane.shake(test_endpoint("guest", 66), &guest.link, number)).has_value();
  }
  static bool asks_to_drop(const std::optional<RawPeer::Frame>& frame, std::uint16_t lane) {
    return frame && frame->header.type == net::FrameType::kPing &&
           net::ping_purpose(frame->header.transfer) == net::PingPurpose::kDropLane &&
           net::dropped_lane(frame->header.transfer) == lane;
  }

 private:
  static Task<void> around(TcpWorld& world, Body body) {
    auto listener = co_await world.server().listen(world.listen_at());
    FF_CO_ASSERT(listener);
    Guest guest(world, (*listener)->address());
    auto link = co_await guest.raw.shake(test_endpoint("guest", 66));
    FF_CO_ASSERT(link);
    guest.link = std::move(*link);
    auto accepted = co_await (*listener)->accept();
    FF_CO_ASSERT(accepted);
    guest.end = std::make_unique<RecordingEnd>(std::move(*accepted));
    guest.end->start();
    co_await body(guest, (*listener)->address());
    (*guest.end)->close(Error(Errc::kCancelled, "the test is over"));
    EXPECT_TRUE(co_await guest.end->until([&] { return guest.end->closed.has_value(); }));
  }
};

TEST_F(NetFence, SegmentsOfALostLaneAreSentAgainOnlyAfterThePeerHasDroppedIt) {
  with_guest([](Guest& guest, const net::Address& at) -> Task<void> {
    RawPeer first(at), second(at);
    FF_CO_ASSERT(co_await open(first, guest, 1));
    const auto data = pattern(1000, 1);
    runtime::Scope scope(co_await runtime::current_context());
    std::optional<Result<>> pushed;
    scope.spawn(runtime::detail::store((*guest.end)->push(data, {.region = 77, .offset = 5, .bytes = 1000}), pushed));
    auto frame = co_await first.read_frame();
    EXPECT_TRUE(frame && frame->header.type == net::FrameType::kBulk && frame->payload == data);
    EXPECT_TRUE(co_await open(second, guest, 2));
    first.close();

    const auto fence = co_await second.read_frame();
    EXPECT_TRUE(asks_to_drop(fence, 1));
    (void)co_await runtime::sleep(100ms);
    std::byte none;
    EXPECT_LT(::recv(second.fd(), &none, 1, MSG_DONTWAIT | MSG_PEEK), 0);  // it waits for our word
    EXPECT_FALSE(pushed);
    if (fence) second.send_frame({.type = net::FrameType::kPong, .transfer = fence->header.transfer});
    frame = co_await second.read_frame();
    EXPECT_TRUE(frame && frame->header.type == net::FrameType::kBulk && frame->payload == data);
    if (frame) {
      EXPECT_EQ(frame->header.region, 77u);
      EXPECT_EQ(frame->header.offset, 5u);
      second.send_frame(
          {.type = net::FrameType::kBulkAck, .region = 77, .offset = 5, .transfer = frame->header.transfer});
    }
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(pushed && *pushed);
  });
}

TEST_F(NetFence, ALaneThatDoesNotAnswerAFenceIsCutAndAnotherAsked) {
  TcpWorldOptions options;
  options.tcp.lane_timeout = 300ms;
  with_guest(
      [](Guest& guest, const net::Address& at) -> Task<void> {
        RawPeer first(at), second(at), third(at);
        FF_CO_ASSERT(co_await open(first, guest, 1));
        const auto data = pattern(1000, 1);
        runtime::Scope scope(co_await runtime::current_context());
        std::optional<Result<>> pushed;
        scope.spawn(runtime::detail::store((*guest.end)->push(data, {.region = 77, .bytes = 1000}), pushed));
        auto frame = co_await first.read_frame();
        EXPECT_TRUE(frame && frame->header.type == net::FrameType::kBulk);
        EXPECT_TRUE(co_await open(second, guest, 2));
        (void)co_await runtime::sleep(400ms);  // idle for longer than a lane with work may be
        first.close();
        EXPECT_TRUE(asks_to_drop(co_await second.read_frame(), 1));
        EXPECT_TRUE(co_await second.closed_within(2s));
        second.close();
        EXPECT_TRUE(co_await open(third, guest, 3));
        const auto fence = co_await third.read_frame();
        EXPECT_TRUE(asks_to_drop(fence, 1));
        if (fence) third.send_frame({.type = net::FrameType::kPong, .transfer = fence->header.transfer});
        frame = co_await third.read_frame();
        EXPECT_TRUE(frame && frame->header.type == net::FrameType::kBulk && frame->payload == data);
        if (frame)
          third.send_frame({.type = net::FrameType::kBulkAck, .region = 77, .transfer = frame->header.transfer});
        EXPECT_TRUE(co_await scope.join());
        EXPECT_TRUE(pushed && *pushed);
      },
      options);
}

TEST_F(NetFence, AnswersToPullsThatWeHaveGivenUpAreNoOffenceOfThePeer) {
  with_guest([](Guest& guest, const net::Address& at) -> Task<void> {
    RawPeer lane(at);
    FF_CO_ASSERT(co_await open(lane, guest, 1));
    std::vector<std::byte> into(8192);
    const Result<> pulled =
        co_await runtime::with_timeout(50ms, "pull", (*guest.end)->pull({.region = 77, .bytes = into.size()}, into));
    EXPECT_FALSE(pulled);
    const auto request = co_await lane.read_frame();
    FF_CO_ASSERT(request && request->header.type == net::FrameType::kPull);
    std::vector<std::byte> answers;
    for (std::uint64_t i = 0; i < into.size(); ++i) {  // a byte at a time is within the rules
      const auto head = net::encode_frame_header({.type = net::FrameType::kBulk,
                                                  .flags = net::kFlagPulled,
                                                  .length = 1,
                                                  .region = 1,
                                                  .offset = i,
                                                  .transfer = request->header.transfer});
      answers.insert(answers.end(), head.begin(), head.end());
      answers.push_back(std::byte{1});
    }
    EXPECT_TRUE(co_await lane.send_all(answers));
    lane.send_frame({.type = net::FrameType::kPing, .transfer = 1});
    const auto pong = co_await lane.read_frame();
    EXPECT_TRUE(pong && pong->header.type == net::FrameType::kPong);
    EXPECT_FALSE((*guest.end)->closed());
    EXPECT_EQ(std::ranges::count(into, std::byte{0}), static_cast<std::ptrdiff_t>(into.size()));
  });
}

TEST_F(NetFence, ALaneIsGoneBeforeThePeerIsToldSo) {
  with_guest([](Guest& guest, const net::Address& at) -> Task<void> {
    RawPeer first(at), second(at);
    FF_CO_ASSERT(co_await open(first, guest, 1) && co_await open(second, guest, 2));
    std::vector<std::byte> memory(1000);
    auto exposure = (*guest.end)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    // Half a segment, so that the server's kernel is in the middle of writing to `memory`.
    const std::vector<std::byte> half(500, std::byte{1});
    first.send(net::encode_frame_header(
        {.type = net::FrameType::kBulk, .length = 1000, .region = (*exposure)->remote().region, .transfer = 1}));
    first.send(half);
    (void)co_await runtime::sleep(20ms);
    const std::uint64_t number = net::drop_lane_number(1, 5);
    second.send_frame({.type = net::FrameType::kPing, .transfer = number});
    const auto pong = co_await second.read_frame();
    EXPECT_TRUE(pong && pong->header.type == net::FrameType::kPong && pong->header.transfer == number);
    std::ranges::fill(memory, std::byte{2});
    first.send(half);
    EXPECT_TRUE(co_await first.closed_within(200ms));
    EXPECT_EQ(std::ranges::count(memory, std::byte{2}), 1000);
    EXPECT_EQ((*exposure)->arrived(), 0u);
    co_await (*exposure)->revoke();
  });
}

// Between the peer's being told that its lane stands and our serving it, the peer may lose it and ask for its end.
TEST_F(NetFence, ALaneThatWasDroppedBeforeItStoodIsNotServed) {
  with_guest([](Guest& guest, const net::Address& at) -> Task<void> {
    auto& connection = static_cast<net::TcpConnection&>(**guest.end);
    std::vector<std::byte> memory(1000);
    auto exposure = connection.expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    RawPeer second(at);
    FF_CO_ASSERT(co_await open(second, guest, 2));
    const auto admission = co_await connection.before_lane(1);
    FF_CO_ASSERT(admission);
    std::array<int, 2> fds{-1, -1};
    FF_CO_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    const UniqueFd peer(fds[1]);
    net::Lane lane{
        .socket = guest.world.env().adopt(UniqueFd(fds[0])), .link = guest.link, .number = 1, .admission = *admission};
    second.send_frame({.type = net::FrameType::kPing, .transfer = net::drop_lane_number(1, 5)});
    const auto pong = co_await second.read_frame();
    EXPECT_TRUE(pong && pong->header.type == net::FrameType::kPong);
    const auto head = net::encode_frame_header(
        {.type = net::FrameType::kBulk, .length = 1000, .region = (*exposure)->remote().region, .transfer = 1});
    EXPECT_EQ(::send(peer.get(), head.data(), head.size(), MSG_NOSIGNAL), static_cast<ssize_t>(head.size()));
    const std::vector<std::byte> late(1000, std::byte{1});
    EXPECT_EQ(::send(peer.get(), late.data(), late.size(), MSG_NOSIGNAL), 1000);
    connection.add_lane(std::move(lane));
    (void)co_await runtime::sleep(50ms);
    EXPECT_EQ((*exposure)->arrived(), 0u);
    EXPECT_EQ(std::ranges::count(memory, std::byte{0}), 1000);
    co_await (*exposure)->revoke();
  });
}

// The peer of a revocation in the middle of a segment may never send the rest.
TEST_F(NetFence, RevokeDoesNotWaitForThePeer) {
  with_guest([](Guest& guest, const net::Address& at) -> Task<void> {
    RawPeer lane(at);
    FF_CO_ASSERT(co_await open(lane, guest, 1));
    std::vector<std::byte> memory(1000);
    auto exposure = (*guest.end)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    lane.send(net::encode_frame_header(
        {.type = net::FrameType::kBulk, .length = 1000, .region = (*exposure)->remote().region, .transfer = 1}));
    (void)co_await runtime::sleep(20ms);
    runtime::Env& env = (co_await runtime::current_context()).env();
    const runtime::Time begin = env.now();
    co_await (*exposure)->revoke();
    EXPECT_LT(env.now() - begin, 1s);
    lane.send(std::vector<std::byte>(1000, std::byte{1}));
    (void)co_await runtime::sleep(20ms);
    EXPECT_EQ(std::ranges::count(memory, std::byte{0}), 1000);
  });
}

}  // namespace
}  // namespace ff::testing
