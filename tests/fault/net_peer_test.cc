// Broken, slow and hostile peers over real sockets: each is dropped in bounded time and memory with an error that says
// why, while a well-behaved client is served throughout.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>

#include "libcommon/base/crc32c.hpp"
#include "tests/support/connection_world.hpp"
#include "tests/support/raw_peer.hpp"
#include "tests/support/tcp_world.hpp"

namespace ff::testing {
namespace {

using namespace std::chrono_literals;
using net::FrameHeader;
using net::FrameType;
using runtime::Task;

// Short times, so that what must time out does so within the test.
TcpWorldOptions quick() {
  TcpWorldOptions options;
  options.tcp.handshake_timeout = 300ms;
  options.tcp.ping_interval = 100ms;
  options.tcp.peer_timeout = 500ms;
  return options;
}

// A server with one good connection, which is asked for signs of life.
struct Good {
  Ends ends;
  std::size_t asked = 0;

  Task<bool> served() {
    ++asked;
    const Result<> sent = (*ends.client)->send(message_of("are you there?"));
    co_return sent&& co_await ends.server->until([this] { return ends.server->received == asked; });
  }
  const net::Address& at() const { return ends.listener->address(); }
};

class NetPeerFault : public ::testing::TestWithParam<runtime::Backend> {
 protected:
  using Body = Task<void> (*)(TcpWorld&, Good&);
  void with_server(TcpWorldOptions options, Body body) {
    options.backend = GetParam();
    TcpWorld world(std::move(options));
    world.run(around(world, body));
  }

 private:
  static Task<void> around(TcpWorld& world, Body body) {
    auto ends = co_await join_ends(world);
    FF_CO_ASSERT(ends);
    Good good{std::move(*ends)};
    co_await body(world, good);
    EXPECT_TRUE(co_await good.served());
    (*good.ends.client)->close(Error(Errc::kCancelled, "the test is over"));
    EXPECT_TRUE(co_await good.ends.client->until([&] { return good.ends.client->closed.has_value(); }));
    EXPECT_TRUE(co_await good.ends.server->until([&] { return good.ends.server->closed.has_value(); }));
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, NetPeerFault, ::testing::Values(runtime::Backend::kAuto, runtime::Backend::kEpoll),
                         [](const auto& info) { return info.param == runtime::Backend::kEpoll ? "epoll" : "uring"; });

// A raw peer that has shaken hands, and the server's end of its connection.
struct Guest {
  RawPeer raw;
  net::LinkSession link;
  std::unique_ptr<RecordingEnd> end;
};
Task<std::unique_ptr<Guest>> invite(Good& good) {
  auto guest = std::make_unique<Guest>(RawPeer(good.at()), net::LinkSession{}, nullptr);
  auto link = co_await guest->raw.shake(test_endpoint("guest", 66));
  if (!link) co_return nullptr;
  guest->link = std::move(*link);
  auto accepted = co_await good.ends.listener->accept();
  if (!accepted) co_return nullptr;
  guest->end = std::make_unique<RecordingEnd>(std::move(*accepted));
  guest->end->start();
  co_return guest;
}

TEST_P(NetPeerFault, GarbageInsteadOfAHandshakeIsDropped) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    const std::uint64_t before = world.server_stats().refused;
    std::vector<std::string> openings = {"GET / HTTP/1.1\r\nHost: x\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                         std::string("\x16\x03\x01\x02\x00\x01", 6) + std::string(200, 'x'),
                                         std::string(100'000, '\0')};
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto noise = pattern(48 + seed * 8, seed);
      openings.emplace_back(reinterpret_cast<const char*>(noise.data()), noise.size());
    }
    for (const std::string& opening : openings) {
      RawPeer raw(good.at());
      raw.send(opening);
      EXPECT_TRUE(co_await raw.closed_within(250ms));  // at once, not by the handshake's timeout
    }
    EXPECT_EQ(world.server_stats().refused - before, openings.size());
    EXPECT_TRUE(co_await good.served());
  });
}

TEST_P(NetPeerFault, FramesThatDoNotBelongInAHandshakeAreDropped) {
  with_server(quick(), [](TcpWorld&, Good& good) -> Task<void> {
    {
      RawPeer raw(good.at());
      raw.send_frame(net::checked_header(FrameType::kMessage, std::as_bytes(std::span("hello", 5))),
                     std::as_bytes(std::span("hello", 5)));
      EXPECT_TRUE(co_await raw.closed_within(250ms));
    }
    {
      // A hello that says it is longer than any may be. The header's own checksum is right.
      RawPeer raw(good.at());
      net::FrameHeaderBytes head =
          net::encode_frame_header(net::checked_header(FrameType::kMessage, std::vector<std::byte>(100)));
      head[5] = static_cast<std::byte>(FrameType::kHello);
      head[9] = std::byte{0x7f};
      const std::uint32_t crc = crc32c(0, head.data(), 44);
      std::memcpy(head.data() + 44, &crc, 4);
      raw.send(head);
      EXPECT_TRUE(co_await raw.closed_within(250ms));
    }
    {
      // Half a header, then the end.
      RawPeer raw(good.at());
      raw.send(std::string_view("FFM1\x01\x01", 6));
      ::shutdown(raw.fd(), SHUT_WR);
      EXPECT_TRUE(co_await raw.closed_within(250ms));
    }
  });
}

TEST_P(NetPeerFault, AWrongKeyIsRefusedAtBothEnds) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    RawPeer raw(good.at());
    net::Endpoint endpoint = test_endpoint("thief", 5);
    endpoint.key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
    EXPECT_FALSE(co_await raw.shake(endpoint));
    EXPECT_TRUE(co_await raw.closed_within(250ms));
    RawPeer keyless(good.at());
    endpoint.key = nullptr;
    endpoint.insecure = true;
    EXPECT_FALSE(co_await keyless.shake(endpoint));

    net::TcpOptions options = quick().tcp;
    options.endpoint = endpoint;
    auto other = net::make_tcp_network(world.env(), options);
    FF_CO_ASSERT(other);
    const auto connection = co_await (*other)->connect(only(good.at()), {.timeout = 1s});
    FF_CO_ASSERT(!connection);
    EXPECT_EQ(connection.error().code(), Errc::kPermission) << connection.error().message();
    co_await (*other)->stop();
    EXPECT_EQ(world.server_stats().refused, 3u);
  });
}

TEST_P(NetPeerFault, AReplayedHandshakeProvesNothing) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    RawPeer honest(good.at());
    const auto link = co_await honest.shake(test_endpoint("guest", 66));
    FF_CO_ASSERT(link);
    const std::vector<std::byte> recorded = honest.sent();
    const auto taken = co_await good.ends.listener->accept();
    FF_CO_ASSERT(taken);
    // While the link stands, and after it has gone.
    for (int round = 0; round < 2; ++round) {
      const std::uint64_t before = world.server_stats().refused;
      RawPeer replay(good.at());
      replay.send(recorded);
      EXPECT_TRUE(co_await replay.closed_within(400ms));
      EXPECT_EQ(world.server_stats().refused, before + 1);
      (*taken)->close(Error(Errc::kCancelled, "gone"));
      honest.close();
      (void)co_await runtime::sleep(100ms);
    }
    EXPECT_EQ(world.server_stats().accepted, 2u);  // the good one and the honest one
  });
}

TEST_P(NetPeerFault, AByteAtATimeDoesNotOutliveTheHandshakeTimeout) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    RawPeer silent(good.at()), slow(good.at());
    const auto hello = net::ClientHandshake::open_link(test_endpoint("slow", 3))->start();
    const auto head = net::encode_frame_header(net::checked_header(hello.type, hello.payload));
    bool closed = false;
    const runtime::Time begin = world.env().now();
    for (std::size_t i = 0; i < head.size() && !closed; ++i) {
      slow.send(std::span(head).subspan(i, 1));
      closed = co_await slow.closed_within(20ms);
    }
    EXPECT_TRUE(closed);
    EXPECT_LT(world.env().now() - begin, 800ms);
    EXPECT_TRUE(co_await silent.closed_within(500ms));
  });
}

TEST_P(NetPeerFault, PendingHandshakesAreBoundedAndTheirPlacesComeBack) {
  TcpWorldOptions options = quick();
  options.tcp.pending_handshakes_max = 4;
  with_server(options, [](TcpWorld& world, Good& good) -> Task<void> {
    std::vector<RawPeer> silent;
    for (int i = 0; i < 40; ++i) silent.emplace_back(good.at());
    int dropped_at_once = 0;
    for (RawPeer& raw : silent)
      if (co_await raw.closed_within(3ms)) ++dropped_at_once;
    EXPECT_GE(dropped_at_once, 36);
    EXPECT_TRUE(co_await good.served());
    Result<std::shared_ptr<net::Connection>> again = fail(Errc::kTimeout, "not tried");
    for (int i = 0; i < 20 && !again; ++i) {
      again = co_await world.client().connect(only(good.at()), {.timeout = 200ms});
      if (!again) (void)co_await runtime::sleep(50ms);
    }
    EXPECT_TRUE(again);
  });
}

// What an authenticated peer may send on its control lane that ends its connection, and with which error.
struct Misdeed {
  const char* name;
  void (*commit)(RawPeer&);
  Errc code;
};

TEST_P(NetPeerFault, AnAuthenticatedPeerThatBreaksTheFramingIsClosed) {
  with_server(quick(), [](TcpWorld&, Good& good) -> Task<void> {
    const Misdeed misdeeds[] = {
        {"garbage", [](RawPeer& raw) { raw.send(std::string(100, 'x')); }, Errc::kCorrupt},
        {"bad checksum",
         [](RawPeer& raw) {
           FrameHeader header = net::checked_header(FrameType::kMessage, std::as_bytes(std::span("hello", 5)));
           raw.send_frame(header, std::as_bytes(std::span("hellO", 5)));
         },
         Errc::kCorrupt},
        {"no checksum",
         [](RawPeer& raw) {
           raw.send_frame({.type = FrameType::kMessage, .length = 5}, std::as_bytes(std::span("hello", 5)));
         },
         Errc::kCorrupt},
        {"bulk on the control lane",
         [](RawPeer& raw) {
           raw.send_frame({.type = FrameType::kBulk, .length = 5, .region = 1, .transfer = 1},
                          std::as_bytes(std::span("hello", 5)));
         },
         Errc::kCorrupt},
        {"a second hello",
         [](RawPeer& raw) {
           raw.send_frame(net::checked_header(FrameType::kHello, std::as_bytes(std::span("hello", 5))),
                          std::as_bytes(std::span("hello", 5)));
         },
         Errc::kCorrupt},
        {"an oversized message",
         [](RawPeer& raw) {
           net::FrameHeaderBytes head = net::encode_frame_header({.type = FrameType::kMessage, .length = 1});
           head[11] = std::byte{0x7f};  // almost 2 GiB
           const std::uint32_t crc = crc32c(0, head.data(), 44);
           std::memcpy(head.data() + 44, &crc, 4);
           raw.send(head);
         },
         Errc::kInvalidArgument},
        {"an end in the middle of a frame",
         [](RawPeer& raw) {
           raw.send(net::encode_frame_header({.type = FrameType::kMessage, .flags = 1, .length = 1000}));
           ::shutdown(raw.fd(), SHUT_WR);
         },
         Errc::kUnavailable},
        {"nothing after half a frame",
         [](RawPeer& raw) {
           raw.send(net::encode_frame_header({.type = FrameType::kMessage, .flags = 1, .length = 1000}));
           raw.send(std::string(10, 'x'));
         },
         Errc::kUnavailable},
    };
    for (const Misdeed& misdeed : misdeeds) {
      const auto guest = co_await invite(good);
      FF_CO_ASSERT(guest);
      misdeed.commit(guest->raw);
      EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 3s)) << misdeed.name;
      FF_CO_ASSERT(guest->end->closed);
      EXPECT_EQ(guest->end->closed->code(), misdeed.code) << misdeed.name << ": " << guest->end->closed->message();
      EXPECT_EQ(guest->end->received, 0u) << misdeed.name;
      EXPECT_TRUE(co_await guest->raw.closed_within(1s)) << misdeed.name;
      EXPECT_TRUE(co_await good.served()) << misdeed.name;
    }
  });
}

TEST_P(NetPeerFault, APeerThatFallsSilentIsGoneAfterItsTime) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    const auto guest = co_await invite(good);
    FF_CO_ASSERT(guest);
    const runtime::Time begin = world.env().now();
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 5s));
    const runtime::Duration took = world.env().now() - begin;
    EXPECT_GE(took, 450ms);
    EXPECT_LT(took, 2s);
    FF_CO_ASSERT(guest->end->closed);
    EXPECT_EQ(guest->end->closed->code(), Errc::kUnavailable);
    EXPECT_FALSE((*good.ends.client)->closed());  // idle for as long, but it answers
  });
}

TEST_P(NetPeerFault, ASlowReaderCostsBoundedMemoryAndDoesNotDelayOthers) {
  TcpWorldOptions options;  // long times: it is not dropped for silence here
  options.tcp.send_queue_bytes = 1u << 20;
  with_server(options, [](TcpWorld&, Good& good) -> Task<void> {
    const auto guest = co_await invite(good);
    FF_CO_ASSERT(guest);
    std::size_t sent = 0, refused = 0;
    for (int i = 0; i < 2000; ++i) {
      const Result<> result = (*guest->end)->send(net::Message(64u << 10));
      result ? ++sent : ++refused;
      if (!result) EXPECT_EQ(result.error().code(), Errc::kExhausted);
      EXPECT_LE((*guest->end)->queued_bytes(), (1u << 20) + (65u << 10));
      if (i % 50 == 0) {
        (void)co_await runtime::sleep(1ms);
        EXPECT_TRUE(co_await good.served());
      }
    }
    EXPECT_GT(refused, 0u);
    EXPECT_GT(sent, 16u);
    (*guest->end)->close(Error(Errc::kExhausted, "it reads too slowly"));
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 5s));
  });
}

TEST_P(NetPeerFault, ManyHalfReceivedMessagesStayWithinTheBudget) {
  TcpWorldOptions options = quick();
  options.tcp.peer_timeout = 1s;
  options.tcp.assembly_bytes = 8u << 20;
  with_server(options, [](TcpWorld& world, Good& good) -> Task<void> {
    std::vector<std::unique_ptr<Guest>> guests;
    for (int i = 0; i < 10; ++i) {
      guests.push_back(co_await invite(good));
      FF_CO_ASSERT(guests.back());
      // 3 MiB are announced, 1000 bytes come.
      guests.back()->raw.send(net::encode_frame_header({.type = FrameType::kMessage, .flags = 1, .length = 3u << 20}));
      guests.back()->raw.send(std::string(1000, 'x'));
    }
    (void)co_await runtime::sleep(100ms);
    EXPECT_LE(world.server_stats().assembly_bytes_now, 8u << 20);
    EXPECT_GE(world.server_stats().assembly_bytes_now, 6u << 20);
    EXPECT_TRUE(co_await good.served());  // whole messages need none of it
    // Two at a time: those who wait for memory are not blamed for what is not read.
    for (auto& guest : guests)
      EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 6s));
    EXPECT_EQ(world.server_stats().assembly_bytes_now, 0u);
  });
}

TEST_P(NetPeerFault, OutOfDescriptorsTheOthersAreServedAndNewOnesLater) {
  with_server({}, [](TcpWorld& world, Good& good) -> Task<void> {
    rlimit before{};
    FF_CO_ASSERT(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    std::vector<RawPeer> waiting;
    for (int i = 0; i < 8; ++i) waiting.emplace_back(good.at());
    // UBSan checks a virtual call by means of a pipe the first time; there is none to be had later.
    (void)errno_error("accept", EMFILE);
    // No descriptor above those that are open now.
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(waiting.back().fd()) + 1;
    FF_CO_ASSERT(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    for (int i = 0; i < 20; ++i) {
      (void)co_await runtime::sleep(10ms);
      EXPECT_TRUE(co_await good.served());
    }
    EXPECT_GE(world.server_stats().accept_out_of_fds, 1u);
    FF_CO_ASSERT(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    waiting.clear();
    const auto again = co_await world.client().connect(only(good.at()), {});
    EXPECT_TRUE(again);
  });
}

TEST_P(NetPeerFault, GarbageOnABulkLaneCostsTheLaneAlone) {
  with_server(quick(), [](TcpWorld& world, Good& good) -> Task<void> {
    const auto guest = co_await invite(good);
    FF_CO_ASSERT(guest);
    RawPeer lane(good.at());
    FF_CO_ASSERT(co_await lane.shake(test_endpoint("guest", 66), &guest->link));
    lane.send(std::string(100, 'x'));
    EXPECT_TRUE(co_await lane.closed_within(400ms));
    const std::string_view text = "on lane 0";
    guest->raw.send_frame(net::checked_header(FrameType::kMessage, std::as_bytes(std::span(text))),
                          std::as_bytes(std::span(text)));
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->received == 1; }));
    EXPECT_EQ(world.server_stats().lanes_lost, 1u);
    // A lane needs the secret of its link.
    net::LinkSession guessed = guest->link;
    guessed.secret.bytes[0] ^= std::byte{1};
    RawPeer intruder(good.at());
    EXPECT_FALSE(co_await intruder.shake(test_endpoint("guest", 66), &guessed, 2));
    (*guest->end)->close(Error(Errc::kCancelled, "done"));
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }));
  });
}

TEST_P(NetPeerFault, SegmentsAreCheckedOneByOneAndEndlessWrongOnesEndThePeer) {
  TcpWorldOptions options = quick();
  options.tcp.peer_timeout = 20s;
  with_server(options, [](TcpWorld& world, Good& good) -> Task<void> {
    const auto guest = co_await invite(good);
    FF_CO_ASSERT(guest);
    std::vector<std::byte> memory(1000);
    auto exposure = (*guest->end)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    const std::uint64_t region = (*exposure)->remote().region;
    RawPeer lane(good.at());
    FF_CO_ASSERT(co_await lane.shake(test_endpoint("guest", 66), &guest->link));

    const auto ten = std::as_bytes(std::span("0123456789", 10));
    FrameHeader header = net::checked_header(FrameType::kBulk, ten);
    header.region = region;
    header.transfer = 1;
    lane.send_frame(header, ten);
    auto answer = co_await lane.read_answer();
    FF_CO_ASSERT(answer);
    EXPECT_EQ(answer->header.type, FrameType::kBulkAck);
    EXPECT_EQ(answer->header.transfer, 1u);
    EXPECT_EQ(std::memcmp(memory.data(), "0123456789", 10), 0);

    header.transfer = 2;
    header.payload_crc ^= 1;
    lane.send_frame(header, ten);
    answer = co_await lane.read_answer();
    FF_CO_ASSERT(answer);
    EXPECT_EQ(answer->header.type, FrameType::kBulkNack);
    EXPECT_TRUE(net::reason_text(answer->payload).starts_with("corrupt")) << net::reason_text(answer->payload);

    header = {.type = FrameType::kBulk, .length = 10, .region = region, .offset = 991, .transfer = 3};
    lane.send_frame(header, ten);
    answer = co_await lane.read_answer();
    FF_CO_ASSERT(answer);
    EXPECT_TRUE(net::reason_text(answer->payload).starts_with("invalid_argument"));

    header.region ^= 1;
    for (int i = 0; i < 100'000 && !guest->end->closed; ++i) {
      lane.send_frame(header, ten);
      if (i % 100 == 0) (void)co_await runtime::sleep(1ms);
      if (i % 100 == 0) (void)co_await lane.closed_within(0ms);
      std::array<std::byte, 16384> bin;
      while (::recv(lane.fd(), bin.data(), bin.size(), MSG_DONTWAIT) > 0) {
      }
    }
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 2s));
    FF_CO_ASSERT(guest->end->closed);
    EXPECT_EQ(guest->end->closed->code(), Errc::kPermission) << guest->end->closed->message();
    EXPECT_GE(world.server_stats().bulk_discarded, 4096u);
    EXPECT_EQ(world.server_stats().bulk_corrupt, 1u);
  });
}

TEST_P(NetPeerFault, APeerThatPushesAndReadsNoAnswersLosesItsLane) {
  TcpWorldOptions options;
  options.tcp.lane_timeout = 60s;  // by the bound of what is queued, not by time
  with_server(options, [](TcpWorld& world, Good& good) -> Task<void> {
    const auto guest = co_await invite(good);
    FF_CO_ASSERT(guest);
    std::vector<std::byte> memory(1);
    auto exposure = (*guest->end)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    RawPeer lane(good.at());
    FF_CO_ASSERT(co_await lane.shake(test_endpoint("guest", 66), &guest->link));
    const int little = 4096;
    ::setsockopt(lane.fd(), SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    const auto head = net::encode_frame_header(
        {.type = FrameType::kBulk, .length = 1, .region = (*exposure)->remote().region, .transfer = 1});
    std::vector<std::byte> thousand;
    for (int i = 0; i < 1000; ++i) {
      thousand.insert(thousand.end(), head.begin(), head.end());
      thousand.push_back(std::byte{1});
    }
    // The kernel holds some hundred thousand answers; the server may hold as many, and no more.
    for (int i = 0; i < 1000 && world.server_stats().lanes_lost == 0; ++i)
      if (!co_await lane.send_all(thousand)) break;
    EXPECT_EQ(world.server_stats().lanes_lost, 1u);
    co_await (*exposure)->revoke();
    EXPECT_TRUE(co_await good.served());
    (*guest->end)->close(Error(Errc::kCancelled, "done"));
    EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }));
  });
}

// While the server has no memory for a message it does not read, and so cannot hear that its sender lives.
TEST_P(NetPeerFault, AHealthyPeerIsKeptWhileItsMessageWaitsForMemory) {
  TcpWorldOptions options = quick();
  options.tcp.assembly_bytes = 8u << 20;
  with_server(options, [](TcpWorld&, Good& good) -> Task<void> {
    std::vector<std::unique_ptr<Guest>> slow;
    for (int i = 0; i < 2; ++i) {
      slow.push_back(co_await invite(good));
      FF_CO_ASSERT(slow.back());
      slow.back()->raw.send(net::encode_frame_header({.type = FrameType::kMessage, .flags = 1, .length = 3500u << 10}));
      slow.back()->raw.send(std::string(1000, 'x'));
    }
    (void)co_await runtime::sleep(50ms);
    ++good.asked;
    EXPECT_TRUE((*good.ends.client)->send(net::Message(3u << 20)));
    for (int i = 0; i < 60; ++i) {  // three times the time after which a silent peer is given up
      (void)co_await runtime::sleep(25ms);
      for (auto& guest : slow) guest->raw.send("x");
    }
    EXPECT_EQ(good.ends.server->received, 0u);
    EXPECT_FALSE((*good.ends.server)->closed());
    EXPECT_FALSE((*good.ends.client)->closed());
    for (auto& guest : slow) guest->raw.close();
    EXPECT_TRUE(co_await good.ends.server->until([&] { return good.ends.server->received == good.asked; }, 5s));
    for (auto& guest : slow)
      EXPECT_TRUE(co_await guest->end->until([&] { return guest->end->closed.has_value(); }, 5s));
  });
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST_P(NetPeerFault, AnIdleConnectionCostsLittleMemory) {
  with_server({}, [](TcpWorld& world, Good& good) -> Task<void> {
    constexpr std::size_t kConnections = 400;
    std::vector<std::unique_ptr<RecordingEnd>> ends;
    const auto add = [](TcpWorld& w, Good& g, std::vector<std::unique_ptr<RecordingEnd>>& out) -> Task<bool> {
      auto client = co_await w.client().connect(only(g.at()), {});
      auto server = co_await g.ends.listener->accept();
      if (!client || !server) co_return false;
      for (auto& connection : {*client, *server}) {
        out.push_back(std::make_unique<RecordingEnd>(connection));
        out.back()->start();
      }
      co_return true;
    };
    for (int i = 0; i < 50; ++i) FF_CO_ASSERT(co_await add(world, good, ends));
    const std::uint64_t before = resident_bytes();
    for (std::size_t i = 0; i < kConnections; ++i) FF_CO_ASSERT(co_await add(world, good, ends));
    // Signed: other memory may have been given back meanwhile.
    const double each =
        static_cast<double>(static_cast<std::int64_t>(resident_bytes()) - static_cast<std::int64_t>(before)) /
        (2 * kConnections);
    ::testing::Test::RecordProperty("bytes_per_connection", static_cast<int>(each));
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
    EXPECT_LT(each, 16'000);
#endif
    for (auto& end : ends) (*end)->close(Error(Errc::kCancelled, "enough"));
    for (auto& end : ends) EXPECT_TRUE(co_await end->until([&] { return end->closed.has_value(); }));
  });
}

}  // namespace
}  // namespace ff::testing
