// What every net::Network must do, whatever carries it: instantiate with worlds of two networks.
//
//   INSTANTIATE_TEST_SUITE_P(Sim, ConnectionConformance, testing::Values(NamedWorld{"sim", [] { return make(); }}),
//                            world_name);
//
// Include it in one file of a test program: it defines tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/connection_world.hpp"

namespace ff::testing {

struct NamedWorld {
  std::string name;
  std::function<std::unique_ptr<ConnectionWorld>()> make;
};
inline void PrintTo(const NamedWorld& world, std::ostream* out) { *out << world.name; }
inline std::string world_name(const ::testing::TestParamInfo<NamedWorld>& info) { return info.param.name; }

class ConnectionConformance : public ::testing::TestWithParam<NamedWorld> {
 protected:
  // The body gets two connected ends; they are closed after it.
  using Body = runtime::Task<void> (*)(ConnectionWorld&, Ends&);
  void with_ends(Body body, bool start = true) {
    const auto world = GetParam().make();
    world->run(joined(*world, body, start));
  }
  using BareBody = runtime::Task<void> (*)(ConnectionWorld&);
  void with_world(BareBody body) {
    const auto world = GetParam().make();
    world->run([](ConnectionWorld& w, BareBody b) -> runtime::Task<void> { co_await b(w); }(*world, body));
  }

 private:
  static runtime::Task<void> joined(ConnectionWorld& world, Body body, bool start) {
    auto ends = co_await join_ends(world, start);
    if (!ends) {
      ADD_FAILURE() << ends.error().message();
      co_return;
    }
    co_await body(world, *ends);
    // Handlers must outlive on_closed().
    (*ends->client)->close(Error(Errc::kCancelled, "the test is over"));
    (*ends->server)->close(Error(Errc::kCancelled, "the test is over"));
    if (start) {
      EXPECT_TRUE(co_await ends->client->until([&] { return ends->client->closed.has_value(); }));
      EXPECT_TRUE(co_await ends->server->until([&] { return ends->server->closed.has_value(); }));
      EXPECT_EQ(ends->client->times_closed, 1);
      EXPECT_EQ(ends->server->times_closed, 1);
    }
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ConnectionConformance);

TEST_P(ConnectionConformance, MessagesOfAllSizesArriveWholeAndInOrderBothWays) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    std::vector<std::string> sent;
    for (const std::size_t bytes : {0uz, 1uz, 47uz, 48uz, 4096uz, 32720uz, 32768uz, 70000uz, 1048576uz}) {
      const auto content = pattern(bytes, bytes + 1);
      sent.emplace_back(reinterpret_cast<const char*>(content.data()), content.size());
    }
    for (const std::string& text : sent) {
      EXPECT_TRUE((*ends.client)->send(message_of(text)));
      EXPECT_TRUE((*ends.server)->send(message_of(text)));
    }
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == sent.size(); }));
    EXPECT_TRUE(co_await ends.client->until([&] { return ends.client->received == sent.size(); }));
    EXPECT_TRUE(ends.server->messages == sent);
    EXPECT_TRUE(ends.client->messages == sent);
  });
}

TEST_P(ConnectionConformance, TheLargestMessageArrivesAndALargerOneIsRefused) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    EXPECT_TRUE((*ends.client)->send(net::Message(net::kMessageBytesMax)));
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == 1; }));
    FF_CO_ASSERT(!ends.server->messages.empty());
    EXPECT_EQ(ends.server->messages[0].size(), net::kMessageBytesMax);
    const Result<> refused = (*ends.client)->send(net::Message(net::kMessageBytesMax + 1));
    FF_CO_ASSERT(!refused);
    EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
    EXPECT_FALSE((*ends.client)->closed());
  });
}

TEST_P(ConnectionConformance, ThousandsOfSmallMessagesKeepTheirOrder) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    constexpr std::uint32_t kCount = 5000;
    std::uint32_t next = 0;
    bool in_order = true;
    ends.server->keep_whole = false;
    ends.server->also = [&](std::span<const std::byte> message) {
      std::uint32_t number = 0;
      if (message.size() == sizeof number) std::memcpy(&number, message.data(), sizeof number);
      in_order = in_order && number == next++;
    };
    for (std::uint32_t i = 0; i < kCount; ++i) {
      net::Message message(sizeof i);
      std::memcpy(message.payload().data(), &i, sizeof i);
      EXPECT_TRUE((*ends.client)->send(std::move(message)));
      if (i % 1000 == 999) co_await runtime::yield();
    }
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == kCount; }));
    EXPECT_TRUE(in_order);
    ends.server->also = nullptr;
  });
}

TEST_P(ConnectionConformance, EachEndKnowsTheOther) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    EXPECT_EQ((*ends.client)->peer().role, "server");
    EXPECT_EQ((*ends.client)->peer().node_id, 7u);
    EXPECT_EQ((*ends.server)->peer().role, "client");
    EXPECT_EQ((*ends.server)->peer().node_id, 9u);
    EXPECT_FALSE((*ends.client)->peer_text().empty());
    EXPECT_FALSE((*ends.server)->peer_text().empty());
    co_return;
  });
}

TEST_P(ConnectionConformance, NothingIsDeliveredBeforeStart) {
  with_ends(
      [](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
        EXPECT_TRUE((*ends.client)->send(message_of("early")));
        (void)co_await runtime::sleep(std::chrono::milliseconds(50));
        EXPECT_EQ(ends.server->received, 0u);
        ends.server->start();
        EXPECT_EQ(ends.server->received, 0u);  // never from inside a call
        EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == 1; }));
        ends.client->start();
        (*ends.client)->close(Error(Errc::kCancelled, "done"));
        EXPECT_TRUE(co_await ends.client->until([&] { return ends.client->closed.has_value(); }));
        EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->closed.has_value(); }));
      },
      false);
}

TEST_P(ConnectionConformance, APausedEndGetsNoMessagesButItsBulkGoesOn) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    (*ends.server)->pause_reading();
    EXPECT_TRUE((*ends.client)->send(message_of("one")));
    EXPECT_TRUE((*ends.client)->send(message_of("two")));
    (void)co_await runtime::sleep(std::chrono::milliseconds(30));
    EXPECT_EQ(ends.server->received, 0u);

    const auto data = pattern(100'000, 3);
    std::vector<std::byte> at_server(data.size()), at_client(data.size());
    auto from_client = (*ends.server)->expose(at_server, net::Access::kPush);
    auto from_server = (*ends.client)->expose(at_client, net::Access::kPush);
    FF_CO_ASSERT(from_client && from_server);
    EXPECT_TRUE(co_await (*ends.client)->push(data, (*from_client)->remote()));
    EXPECT_TRUE(co_await (*ends.server)->push(data, (*from_server)->remote()));
    EXPECT_TRUE(at_server == data);
    EXPECT_TRUE(at_client == data);
    EXPECT_EQ(ends.server->received, 0u);

    (*ends.server)->resume_reading();
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == 2; }));
    EXPECT_EQ(ends.server->messages, (std::vector<std::string>{"one", "two"}));
    co_await (*from_client)->revoke();
    co_await (*from_server)->revoke();
  });
}

TEST_P(ConnectionConformance, AHandlerMayPauseFromWithinAndGetsTheRestLater) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    ends.server->also = [&](std::span<const std::byte>) { (*ends.server)->pause_reading(); };
    for (int i = 0; i < 5; ++i) EXPECT_TRUE((*ends.client)->send(message_of(std::to_string(i))));
    for (std::size_t i = 1; i <= 5; ++i) {
      EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == i; }));
      (void)co_await runtime::sleep(std::chrono::milliseconds(5));
      EXPECT_EQ(ends.server->received, i);
      (*ends.server)->resume_reading();
    }
    EXPECT_EQ(ends.server->messages, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
    ends.server->also = nullptr;
  });
}

TEST_P(ConnectionConformance, PushedBytesAreInPlaceBeforeALaterMessage) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    const auto data = pattern(3'000'001, 5);
    std::vector<std::byte> memory(data.size() + 64);
    auto exposure = (*ends.server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    net::RemoteMemory remote = (*exposure)->remote();
    EXPECT_EQ(remote.bytes, memory.size());
    remote.offset += 32;
    remote.bytes -= 64;
    bool in_place = false;
    ends.server->also = [&](std::span<const std::byte>) {
      in_place = std::memcmp(memory.data() + 32, data.data(), data.size()) == 0;
    };
    EXPECT_TRUE(co_await (*ends.client)->push(data, remote));
    EXPECT_TRUE((*ends.client)->send(message_of("done")));
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == 1; }));
    EXPECT_TRUE(in_place);
    for (int i = 0; i < 32; ++i) {
      EXPECT_EQ(memory[static_cast<std::size_t>(i)], std::byte{0});
      EXPECT_EQ(memory[memory.size() - 1 - static_cast<std::size_t>(i)], std::byte{0});
    }
    EXPECT_EQ((*exposure)->arrived(), data.size());
    co_await (*exposure)->revoke();
    ends.server->also = nullptr;
  });
}

TEST_P(ConnectionConformance, PullFetchesExposedBytesEitherWay) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    auto data = pattern(2'500'000, 6);
    for (auto [owner, asker] :
         {std::pair{ends.server.get(), ends.client.get()}, std::pair{ends.client.get(), ends.server.get()}}) {
      auto exposure = (*owner)->expose(data, net::Access::kPull);
      FF_CO_ASSERT(exposure);
      std::vector<std::byte> into(data.size());
      EXPECT_TRUE(co_await (*asker)->pull((*exposure)->remote(), into));
      EXPECT_TRUE(into == data);
      net::RemoteMemory part = (*exposure)->remote();
      part.offset += 1000;
      part.bytes = 10;
      std::vector<std::byte> small(10);
      EXPECT_TRUE(co_await (*asker)->pull(part, small));
      EXPECT_EQ(std::memcmp(small.data(), data.data() + 1000, 10), 0);
      co_await (*exposure)->revoke();
    }
  });
}

TEST_P(ConnectionConformance, ManyTransfersBothWaysAtOnceDoNotMix) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    constexpr std::size_t kTransfers = 12, kBytes = 700'001;
    std::vector<std::vector<std::byte>> sent, memory(kTransfers);
    std::vector<std::unique_ptr<net::Exposure>> exposures;
    std::vector<runtime::Task<Result<>>> tasks;
    for (std::size_t i = 0; i < kTransfers; ++i) {
      sent.push_back(pattern(kBytes, 100 + i));
      memory[i].resize(kBytes);
    }
    for (std::size_t i = 0; i < kTransfers; ++i) {
      RecordingEnd& from = i % 2 == 0 ? *ends.client : *ends.server;
      RecordingEnd& to = i % 2 == 0 ? *ends.server : *ends.client;
      const bool push = i % 3 != 0;
      auto exposure = to->expose(push ? memory[i] : sent[i], push ? net::Access::kPush : net::Access::kPull);
      FF_CO_ASSERT(exposure);
      exposures.push_back(std::move(*exposure));
      tasks.push_back(push ? from->push(sent[i], exposures[i]->remote())
                           : from->pull(exposures[i]->remote(), memory[i]));
    }
    for (const Result<>& result : co_await runtime::when_all(std::move(tasks)))
      EXPECT_TRUE(result) << result.error().message();
    for (std::size_t i = 0; i < kTransfers; ++i) EXPECT_TRUE(memory[i] == sent[i]) << i;
    for (auto& exposure : exposures) co_await exposure->revoke();
  });
}

TEST_P(ConnectionConformance, BulkOutsideOfWhatIsExposedIsRefused) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    std::vector<std::byte> memory(1000), local(1000, std::byte{1});
    auto exposure = (*ends.server)->expose(memory, net::Access::kPush);
    FF_CO_ASSERT(exposure);
    const net::RemoteMemory good = (*exposure)->remote();
    const auto code = [](const Result<>& result) {
      return result ? std::string("ok") : std::string(errc_name(result.error().code()));
    };

    net::RemoteMemory unknown = good;
    unknown.region ^= 0x5555;
    EXPECT_EQ(code(co_await (*ends.client)->push(local, unknown)), "not_found");
    net::RemoteMemory beyond = good;
    beyond.offset += 1;
    EXPECT_EQ(code(co_await (*ends.client)->push(local, beyond)), "invalid_argument");
    net::RemoteMemory lying = good;
    lying.bytes = 2000;
    std::vector<std::byte> more(2000);
    EXPECT_EQ(code(co_await (*ends.client)->push(more, lying)), "invalid_argument");
    EXPECT_EQ(code(co_await (*ends.client)->push(more, good)), "invalid_argument");
    EXPECT_NE(code(co_await (*ends.client)->pull(good, local)), "ok");  // exposed for push only
    EXPECT_EQ((*exposure)->arrived(), 0u);
    EXPECT_EQ(memory, std::vector<std::byte>(1000));
    EXPECT_TRUE(co_await (*ends.client)->push(local, good));  // and the connection goes on
    EXPECT_EQ((*exposure)->arrived(), 1000u);
    EXPECT_TRUE(co_await (*ends.client)->push(local, good));
    co_await (*exposure)->revoke();
    EXPECT_EQ(code(co_await (*ends.client)->push(local, good)), "not_found");
  });
}

TEST_P(ConnectionConformance, ARemoteRangeBeyondTheLastAddressIsRefused) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    std::vector<std::byte> memory(100), local(100);
    auto exposure = (*ends.server)->expose(memory, net::Access::kBoth);
    FF_CO_ASSERT(exposure);
    const net::RemoteMemory beyond{(*exposure)->remote().region, UINT64_MAX - 50, 100};
    const Result<> pushed = co_await (*ends.client)->push(local, beyond);
    const Result<> pulled = co_await (*ends.client)->pull(beyond, local);
    FF_CO_ASSERT(!pushed && !pulled);
    EXPECT_EQ(pushed.error().code(), Errc::kInvalidArgument) << pushed.error().message();
    EXPECT_EQ(pulled.error().code(), Errc::kInvalidArgument) << pulled.error().message();
    EXPECT_TRUE(co_await (*ends.client)->push(local, (*exposure)->remote()));
    co_await (*exposure)->revoke();
  });
}

TEST_P(ConnectionConformance, ThousandsOfSmallTransfersAtOnceAllEnd) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    constexpr std::size_t kCount = 3000, kBytes = 8;
    auto memory = pattern(kCount * kBytes, 5);
    const auto original = memory;
    std::vector<std::byte> local(memory.size());
    auto exposure = (*ends.server)->expose(memory, net::Access::kBoth);
    FF_CO_ASSERT(exposure);
    const std::uint64_t region = (*exposure)->remote().region;
    for (const bool pull : {true, false}) {
      std::vector<runtime::Task<Result<>>> transfers;
      for (std::size_t i = 0; i < kCount; ++i) {
        const auto part = std::span(local).subspan(i * kBytes, kBytes);
        const net::RemoteMemory remote{region, i * kBytes, kBytes};
        transfers.push_back(pull ? (*ends.client)->pull(remote, part) : (*ends.client)->push(part, remote));
      }
      const std::vector<Result<>> results = co_await runtime::when_all(std::move(transfers));
      const auto failed = std::ranges::find_if(results, [](const Result<>& result) { return !result; });
      if (failed != results.end()) ADD_FAILURE() << failed->error().message();
      EXPECT_TRUE((pull ? local : memory) == original);
      std::ranges::fill(memory, std::byte{0});
    }
    co_await (*exposure)->revoke();
  });
}

TEST_P(ConnectionConformance, AfterRevokeNothingIsWrittenAnyMore) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    const std::vector<std::byte> data(16u << 20, std::byte{7});
    for (int round = 0; round < 4; ++round) {
      std::vector<std::byte> memory(data.size());
      auto exposure = (*ends.server)->expose(memory, net::Access::kPush);
      FF_CO_ASSERT(exposure);
      runtime::Scope scope(co_await runtime::current_context());
      std::optional<Result<>> pushed;
      scope.spawn(runtime::detail::store((*ends.client)->push(data, (*exposure)->remote()), pushed));
      for (int i = 0; i < 20'000 && (*exposure)->arrived() < (1u << 20) * static_cast<unsigned>(round); ++i)
        (void)co_await runtime::sleep(std::chrono::microseconds(50));
      co_await (*exposure)->revoke();
      const std::vector<std::byte> then = memory;
      EXPECT_TRUE(co_await scope.join());
      FF_CO_ASSERT(pushed);
      if (!*pushed) EXPECT_EQ(pushed->error().code(), Errc::kNotFound) << pushed->error().message();
      EXPECT_TRUE(memory == then);
    }
    // The connection has taken no harm.
    EXPECT_TRUE((*ends.client)->send(message_of("still there")));
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == 1; }));
  });
}

TEST_P(ConnectionConformance, ACancelledTransferEndsAndItsMemoryIsFree) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    std::vector<std::byte> memory(32u << 20, std::byte{3});
    auto exposure = (*ends.server)->expose(memory, net::Access::kBoth);
    FF_CO_ASSERT(exposure);
    for (int i = 0; i < 6; ++i) {
      std::vector<std::byte> local(memory.size(), std::byte{3});
      const auto wait = std::chrono::microseconds(200 * i);
      const Result<> result =
          i % 2 == 0 ? co_await runtime::with_timeout(wait, "push", (*ends.client)->push(local, (*exposure)->remote()))
                     : co_await runtime::with_timeout(wait, "pull", (*ends.client)->pull((*exposure)->remote(), local));
      if (!result) EXPECT_EQ(result.error().code(), Errc::kTimeout) << result.error().message();
      std::ranges::fill(local, std::byte{9});  // nobody may see or change it any more
      (void)co_await runtime::sleep(std::chrono::milliseconds(5));
      EXPECT_EQ(std::ranges::count(local, std::byte{9}), static_cast<std::ptrdiff_t>(local.size()));
    }
    EXPECT_EQ(std::ranges::count(memory, std::byte{3}), static_cast<std::ptrdiff_t>(memory.size()));
    std::vector<std::byte> again(1000);
    EXPECT_TRUE(co_await (*ends.client)->pull({(*exposure)->remote().region, 0, 1000}, again));
    co_await (*exposure)->revoke();
  });
}

TEST_P(ConnectionConformance, QueuedMessagesArriveBeforeTheClose) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE((*ends.client)->send(net::Message(10'000)));
    (*ends.client)->close(Error(Errc::kCancelled, "enough"));
    (*ends.client)->close(Error(Errc::kInternal, "a second time"));
    EXPECT_TRUE((*ends.client)->closed());
    const Result<> refused = (*ends.client)->send(message_of("late"));
    FF_CO_ASSERT(!refused);
    EXPECT_EQ(refused.error().code(), Errc::kUnavailable);
    EXPECT_FALSE(ends.client->closed);  // never from inside a call
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->closed.has_value(); }));
    EXPECT_EQ(ends.server->received, 100u);
    EXPECT_EQ(ends.server->closed->code(), Errc::kUnavailable);
    EXPECT_TRUE(co_await ends.client->until([&] { return ends.client->closed.has_value(); }));
    EXPECT_EQ(ends.client->closed->code(), Errc::kCancelled);
    FF_CO_ASSERT(!(co_await (*ends.server)->writable()));
    EXPECT_FALSE((*ends.server)->expose({}, net::Access::kPush));
  });
}

TEST_P(ConnectionConformance, WaitsEndWhenTheConnectionDoes) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    std::vector<std::byte> data(64u << 20), memory(data.size());
    auto exposure = (*ends.server)->expose(memory, net::Access::kBoth);
    FF_CO_ASSERT(exposure);
    runtime::Scope scope(co_await runtime::current_context());
    std::optional<Result<>> pushed, pulled;
    std::vector<std::byte> into(memory.size());
    // One after the other, so that both are under way whenever the end comes.
    const auto push_on = [](net::Connection& c, std::span<const std::byte> from,
                            net::RemoteMemory to) -> runtime::Task<Result<>> {
      for (;;) FF_CO_TRY(co_await c.push(from, to));
    };
    const auto pull_on = [](net::Connection& c, net::RemoteMemory from,
                            std::span<std::byte> to) -> runtime::Task<Result<>> {
      for (;;) FF_CO_TRY(co_await c.pull(from, to));
    };
    scope.spawn(runtime::detail::store(push_on(**ends.client, data, (*exposure)->remote()), pushed));
    scope.spawn(runtime::detail::store(pull_on(**ends.client, (*exposure)->remote(), into), pulled));
    for (int i = 0; i < 20'000 && (*exposure)->arrived() == 0; ++i)
      (void)co_await runtime::sleep(std::chrono::microseconds(50));
    (*ends.server)->close(Error(Errc::kCancelled, "enough"));
    EXPECT_TRUE(co_await scope.join());
    FF_CO_ASSERT(pushed && pulled && !*pushed && !*pulled);
    EXPECT_EQ(pushed->error().code(), Errc::kUnavailable) << pushed->error().message();
    EXPECT_EQ(pulled->error().code(), Errc::kUnavailable) << pulled->error().message();
    EXPECT_TRUE(co_await ends.client->until([&] { return ends.client->closed.has_value(); }));
    EXPECT_FALSE(co_await (*ends.client)->push(data, (*exposure)->remote()));
    co_await (*exposure)->revoke();
  });
}

TEST_P(ConnectionConformance, TheQueueIsBoundedAndWritableTellsWhenItHasRoom) {
  with_ends([](ConnectionWorld&, Ends& ends) -> runtime::Task<void> {
    (*ends.server)->pause_reading();
    ends.server->keep_whole = false;
    std::size_t sent = 0;
    Result<> result;
    // What carries the bytes takes some of them, in steps, before it is full: fill again until room stays away.
    Result<> room;
    while (room && sent < 1000) {
      while (sent < 1000 && (result = (*ends.client)->send(net::Message(1u << 20)))) ++sent;
      room = co_await runtime::with_timeout(std::chrono::milliseconds(100), "writable", (*ends.client)->writable());
    }
    FF_CO_ASSERT(!result && !room);
    EXPECT_EQ(result.error().code(), Errc::kExhausted);
    EXPECT_EQ(room.error().code(), Errc::kTimeout);
    EXPECT_GT((*ends.client)->queued_bytes(), 1u << 20);
    (*ends.server)->resume_reading();
    EXPECT_TRUE(co_await (*ends.client)->writable());
    EXPECT_TRUE((*ends.client)->send(message_of("last")));
    EXPECT_TRUE(co_await ends.server->until([&] { return ends.server->received == sent + 1; }));
    EXPECT_EQ((*ends.client)->queued_bytes(), 0u);
  });
}

TEST_P(ConnectionConformance, ConnectingToNobodyFailsAndASecondPlaneIsTried) {
  with_world([](ConnectionWorld& world) -> runtime::Task<void> {
    const auto none = co_await world.client().connect(only(world.nobody()), {.timeout = std::chrono::seconds(2)});
    FF_CO_ASSERT(!none);
    EXPECT_TRUE(none.error().code() == Errc::kUnavailable || none.error().code() == Errc::kTimeout)
        << none.error().message();
    auto listener = co_await world.server().listen(world.listen_at());
    FF_CO_ASSERT(listener);
    const net::PeerAddress planes{{world.nobody(), (*listener)->address()}};
    auto connection = co_await world.client().connect(planes, {.timeout = std::chrono::seconds(4)});
    FF_CO_ASSERT(connection);
    EXPECT_EQ((*connection)->peer().role, "server");
    EXPECT_TRUE(co_await (*listener)->accept());
  });
}

TEST_P(ConnectionConformance, AListenerThatIsGoneAcceptsNoMore) {
  with_world([](ConnectionWorld& world) -> runtime::Task<void> {
    auto listener = co_await world.server().listen(world.listen_at());
    FF_CO_ASSERT(listener);
    const net::Address address = (*listener)->address();
    listener->reset();
    (void)co_await runtime::sleep(std::chrono::milliseconds(20));
    EXPECT_FALSE(co_await world.client().connect(only(address), {.timeout = std::chrono::seconds(1)}));
  });
}

TEST_P(ConnectionConformance, StopEndsConnectionsListenersAndNewOnes) {
  with_ends([](ConnectionWorld& world, Ends& ends) -> runtime::Task<void> {
    co_await world.server().stop();
    EXPECT_EQ(ends.server->times_closed, 1);
    EXPECT_TRUE(co_await ends.client->until([&] { return ends.client->closed.has_value(); }));
    EXPECT_FALSE(co_await ends.listener->accept());
    EXPECT_FALSE(co_await world.server().listen(world.listen_at()));
    EXPECT_FALSE(co_await world.server().connect(only(world.nobody()), {}));
  });
}

}  // namespace ff::testing
