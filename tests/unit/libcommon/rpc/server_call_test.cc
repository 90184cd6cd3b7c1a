// Bulk data, grants and repeated requests, through clients and by hand.
#include "libcommon/rpc/server_call.hpp"

#include "tests/unit/libcommon/rpc/trial.hpp"

namespace ff::rpc::tests {
namespace {

std::vector<std::byte> pattern(std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = std::byte(i * 7 + i / 256);
  return out;
}
bool turned(const std::vector<std::byte>& from, const std::vector<std::byte>& to, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    if (to[i] != std::byte(static_cast<unsigned>(from[i]) + 1)) return false;
  return true;
}

TEST(Bulk, OfEverySizeArrivesInline_Exposed_AndInGrantedPieces) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    for (const std::size_t bytes :
         {std::size_t{1}, kInlineBulkBytesMax, kInlineBulkBytesMax + 1, std::size_t{kGrantBytesMin},
          std::size_t{kGrantBytesMax}, std::size_t{kGrantBytesMax * 2 + 17}}) {
      const auto from = pattern(bytes);
      std::vector<std::byte> into(bytes + 5);
      std::uint64_t received = 0;
      const Words request = words(0);
      const auto reply =
          co_await trial.turn(request, {.bulk_send = from, .bulk_receive = into, .bulk_received = &received});
      EXPECT_TRUE(reply) << bytes << ": " << reply.error().message();
      EXPECT_EQ(received, bytes);
      EXPECT_TRUE(turned(from, into, bytes)) << bytes;
    }
  });
}

TEST(Bulk, BeyondWhatTheClientHasRoomForIsRefused) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    for (const std::size_t bytes : {std::size_t{1000}, std::size_t{100'000}}) {
      const auto from = pattern(bytes);
      std::vector<std::byte> into(bytes);
      // At offset 1 they do not fit.
      for (const std::uint64_t offset : {std::uint64_t{1}, std::uint64_t{UINT64_MAX}}) {
        const Words request = words(offset);
        const auto reply = co_await trial.turn(request, {.bulk_send = from, .bulk_receive = into});
        EXPECT_EQ(reply.error().code(), Errc::kInvalidArgument);
      }
    }
  });
}

TEST(Bulk, IsTakenBackFromTheServerWhenTheCallIsCancelled) {
  World world;
  world.network.bulk_bytes_per_second = 1e6;  // a push takes a second
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    w.trial.push_from = pattern(1'000'000);
    std::vector<std::byte> into(1'000'000);
    const Words request = words(0);
    EXPECT_FALSE(co_await trial.turn(request, {.timeout = 500ms, .bulk_receive = into}));
    const auto after = into;
    (void)co_await runtime::sleep(5s);
    EXPECT_EQ(into, after);  // nothing is written once the call has returned
  });
}

TEST(Bulk, OfManyServersWaitsForGrantsAndAllOfItArrives) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.trial.push_from = pattern(1u << 20);
    runtime::Scope scope(co_await runtime::current_context());
    int ok = 0;
    for (int i = 0; i < 32; ++i) {
      scope.spawn([](World& all, int& count) -> Task<void> {
        TrialClient trial(*all.client);
        std::vector<std::byte> into(1u << 20);
        const Words request = words(0);
        const auto reply = co_await trial.turn(request, {.bulk_receive = into});
        EXPECT_TRUE(reply) << reply.error().message();
        if (reply && into == all.trial.push_from) ++count;
      }(w, ok));
    }
    // One round trip after the requests have arrived: grants are out, the rest waits.
    (void)co_await runtime::sleep(75us);
    std::size_t waiting = 0;
    for (const auto& row : w.server->request_rows(100)) waiting += row.state == "waiting for grant";
    EXPECT_GT(waiting, 0u);
    EXPECT_GT(GrantScheduler::of(w.env)->window().waiting(), 0u);
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(ok, 32);
    EXPECT_EQ(GrantScheduler::of(w.env)->window().granted_bytes(), 0u);
  });
}

TEST(Bulk, WithoutGrantsIsPushedAtOnce) {
  World world;
  world.client_options.grants = false;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(0);
    w.trial.push_from = pattern(1u << 20);
    std::vector<std::byte> into(1u << 20);
    EXPECT_TRUE(co_await trial.echo(request));
    const std::size_t before = w.network.messages;
    EXPECT_TRUE(co_await trial.turn(request, {.bulk_receive = into}));
    EXPECT_EQ(w.network.messages - before, 2u);
    EXPECT_EQ(into, w.trial.push_from);
  });
}

TEST(Bulk, GrantsReachAServerThatHasPausedTheConnection) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        w.trial.push_from = pattern(1u << 20);
        TrialClient trial(*w.client);
        std::vector<std::byte> into(1u << 20);
        const Words request = words(0);
        const auto reply = co_await trial.turn(request, {.timeout = 1s, .attempts = 1, .bulk_receive = into});
        EXPECT_TRUE(reply) << reply.error().message();
      },
      {.admission = {.connection_requests = 1}});
}

TEST(Bulk, IsGrantedThoughTheClientsQueueIsFullWhenItIsAsked) {
  World world;
  world.network.queue_bytes_max = 100'000;
  world.network.delay = 10ms;
  world.run([](World& w) -> Task<void> {
    w.trial.push_from = pattern(1u << 20);
    std::vector<std::byte> into(1u << 20);
    runtime::Scope scope(co_await runtime::current_context());
    bool ok = false;
    TrialClient trial(*w.client);
    const Words small = words(1);
    EXPECT_TRUE(co_await trial.echo(small));  // connected
    scope.spawn([](World& all, std::span<std::byte> room, bool& out) -> Task<void> {
      TrialClient pushed(*all.client);
      const Words request = words(0);
      const auto reply = co_await pushed.turn(request, {.attempts = 1, .bulk_receive = room});
      EXPECT_TRUE(reply) << reply.error().message();
      out = static_cast<bool>(reply);
    }(w, into, ok));
    // The question arrives 20 ms after the request has left; this stands in the queue from 15 to 25 ms.
    (void)co_await runtime::sleep(15ms);
    Words large;
    large.set_data(std::string(w.network.queue_bytes_max + 1000, 'x'));
    const auto began = w.env.now();
    EXPECT_TRUE(co_await trial.echo(large));
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(ok);
    EXPECT_LT(w.env.now() - began, 1s);
    EXPECT_EQ(into, w.trial.push_from);
  });
}

TEST(Bulk, WaitsWithItsQuestionUntilTheServersQueueHasRoom) {
  World world;
  world.network.delay = 10ms;
  world.run([](World& w) -> Task<void> {
    w.trial.push_from = pattern(1u << 20);
    std::vector<std::byte> into(1u << 20);
    runtime::Scope scope(co_await runtime::current_context());
    TrialClient trial(*w.client);
    const Words small = words(1);
    EXPECT_TRUE(co_await trial.echo(small));  // connected
    scope.spawn([](World& all) -> Task<void> {
      TrialClient echoed(*all.client);
      Words large;
      large.set_data(std::string(101'000, 'x'));
      EXPECT_TRUE(co_await echoed.echo(large));
    }(w));
    (void)co_await runtime::sleep(5ms);
    scope.spawn([](World& all, std::span<std::byte> room) -> Task<void> {
      TrialClient pushed(*all.client);
      const Words request = words(0);
      const auto reply = co_await pushed.turn(request, {.attempts = 1, .bulk_receive = room});
      EXPECT_TRUE(reply) << reply.error().message();
    }(w, into));
    (void)co_await runtime::sleep(7ms);
    // The large answer is in the server's queue from 10 to 20 ms; the other request is read at 15.
    w.network.queue_bytes_max = 100'000;
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(into, w.trial.push_from);
  });
}

constexpr IdempotencyKey kKey{.client = 77, .sequence = 1};

TEST(Bulk, OfAKeyedCallThatWaitsForItsGrantWhenTheConnectionIsLostIsTriedAgain) {
  World world;
  world.network.delay = 10ms;
  world.run([](World& w) -> Task<void> {
    w.trial.push_from = pattern(1u << 20);
    std::vector<std::byte> into(1u << 20);
    runtime::Scope scope(co_await runtime::current_context());
    TrialClient trial(*w.client);
    const Words small = words(1);
    EXPECT_TRUE(co_await trial.echo(small));  // connected
    const auto began = w.env.now();
    bool ok = false;
    scope.spawn([](World& all, std::span<std::byte> room, bool& out) -> Task<void> {
      TrialClient pushed(*all.client);
      const Words request = words(0);
      std::uint64_t received = 0;
      const auto reply =
          co_await pushed.turn(request, {.attempts = 5, .bulk_receive = room, .bulk_received = &received, .key = kKey});
      EXPECT_TRUE(reply) << reply.error().message();
      EXPECT_EQ(received, room.size());
      out = static_cast<bool>(reply);
    }(w, into, ok));
    (void)co_await runtime::sleep(15ms);
    EXPECT_EQ(w.server->request_rows(1).at(0).state, "waiting for grant");
    w.network.cut("cable pulled");
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(ok);
    EXPECT_LT(w.env.now() - began, 1s);
    EXPECT_EQ(into, w.trial.push_from);
  });
}

TEST(Bulk, OfAKeyedCallWhoseAttemptTakesTooLongIsMovedByTheNextAttempt) {
  for (const bool push : {false, true}) {
    World world;
    world.network.bulk_bytes_per_second = 1e6;
    world.run([push](World& w) -> Task<void> {
      const auto from = pattern(1'000'000);
      std::vector<std::byte> into(push ? from.size() : 0);
      if (push) w.trial.push_from = from;
      runtime::Scope scope(co_await runtime::current_context());
      scope.spawn([](World& all, bool pushes, std::span<const std::byte> out, std::span<std::byte> in) -> Task<void> {
        TrialClient trial(*all.client);
        // To be pulled, the bytes have nowhere to go: that is what the handler answers when it has them.
        const Words request = words(0);
        const auto reply = co_await trial.turn(request, {.attempt_timeout = 500ms,
                                                         .attempts = 5,
                                                         .bulk_send = pushes ? std::span<const std::byte>() : out,
                                                         .bulk_receive = in,
                                                         .key = kKey});
        if (pushes) {
          EXPECT_TRUE(reply) << reply.error().message();
        } else {
          EXPECT_EQ(reply.error().code(), Errc::kInvalidArgument) << reply.error().message();
        }
      }(w, push, from, into));
      (void)co_await runtime::sleep(400ms);
      EXPECT_EQ(w.server->request_rows(1).at(0).state, push ? "pushing bulk" : "pulling bulk");
      w.network.bulk_bytes_per_second = 1e9;
      EXPECT_TRUE(co_await scope.join());
      if (push) EXPECT_EQ(into, from);
    });
  }
}

TEST(Bulk, ThatArrivedBeforeTheAnswerWasLostIsReportedWithTheRepeatedAnswer) {
  World world;
  world.network.delay = 10ms;
  world.run([](World& w) -> Task<void> {
    w.trial.push_from = pattern(32u << 10);
    std::vector<std::byte> into(32u << 10);
    runtime::Scope scope(co_await runtime::current_context());
    TrialClient trial(*w.client);
    const Words small = words(1);
    EXPECT_TRUE(co_await trial.echo(small));  // connected
    scope.spawn([](World& all, std::span<std::byte> room) -> Task<void> {
      TrialClient pushed(*all.client);
      const Words request = words(0);
      std::uint64_t received = 0;
      const auto reply = co_await pushed.turn(request, {.bulk_receive = room, .bulk_received = &received, .key = kKey});
      EXPECT_TRUE(reply) << reply.error().message();
      EXPECT_EQ(received, room.size());
    }(w, into));
    // Request until 10 ms, push until 20, answer until 30.
    (void)co_await runtime::sleep(25ms);
    EXPECT_EQ(w.server->in_flight(), 0u);
    w.network.cut("cable pulled");
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(into, w.trial.push_from);
  });
}

// One client of the wire, to send the same key twice.
class Hand final : public net::ConnectionHandler {
 public:
  std::map<std::uint64_t, std::vector<std::byte>> answers;

  void add(World& w, std::uint64_t id, IdempotencyKey key, std::uint64_t settled = 0) {
    const Words request = words(5);
    RequestHeader header{.id = id, .method = method_id("ff.trial.Trial/Add"), .timeout_us = 1'000'000};
    header.key = key;
    header.settled_below = settled;
    Draft draft = encode_request(header, {}, request.ByteSizeLong());
    request.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(draft.payload.data()));
    EXPECT_TRUE(connection->send(std::move(draft.message)));
    (void)w;
  }
  std::uint64_t number(std::uint64_t id) {
    const auto view = decode_response(answers[id]);
    Words reply;
    if (!view || !reply.ParseFromArray(view->payload.data(), static_cast<int>(view->payload.size()))) return 0;
    return reply.number();
  }
  std::shared_ptr<net::Connection> connection;

 private:
  void on_message(net::Connection&, std::span<const std::byte> message) override {
    std::uint64_t id = 0;
    std::memcpy(&id, message.data() + 8, 8);
    answers[id] = {message.begin(), message.end()};
  }
  void on_closed(net::Connection&, const Error&) override {}
};

Task<void> connect(World& w, Hand& hand) {
  hand.connection = *co_await w.network.connect(World::peer(), {});
  hand.connection->start(hand);
}

TEST(RepeatedRequest, JoinsTheFirstEvenOverAnotherConnection) {
  World world;
  world.run([](World& w) -> Task<void> {
    Hand a, b;
    co_await connect(w, a);
    co_await connect(w, b);
    w.trial.add_time = 20ms;
    a.add(w, 1, {77, 1});
    (void)co_await runtime::sleep(1ms);
    a.add(w, 2, {77, 1});
    b.add(w, 3, {77, 1});
    (void)co_await runtime::sleep(30ms);
    EXPECT_EQ(w.trial.adds, 1);
    EXPECT_EQ(a.number(1), 5u);
    EXPECT_EQ(a.number(2), 5u);
    EXPECT_EQ(b.number(3), 5u);
    // And later: from memory.
    b.add(w, 4, {77, 1});
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(b.number(4), 5u);
    EXPECT_EQ(w.trial.adds, 1);
    EXPECT_EQ(w.server->in_flight(), 0u);
    a.connection->close(Error(Errc::kCancelled, "done"));
    b.connection->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(RepeatedRequest, JoinsOnlySoOften) {
  World world;
  world.run([](World& w) -> Task<void> {
    Hand hand;
    co_await connect(w, hand);
    w.trial.add_time = 20ms;
    for (std::uint64_t id = 1; id <= 40; ++id) hand.add(w, id, {77, 1});
    (void)co_await runtime::sleep(5ms);
    std::size_t refused = 0;
    for (std::uint64_t id = 1; id <= 40; ++id) {
      if (!hand.answers.contains(id)) continue;
      const auto error = decode_error(hand.answers[id]);
      EXPECT_TRUE(error);
      if (!error) continue;
      EXPECT_EQ(error->code, Errc::kExhausted);
      EXPECT_GT(error->retry_after_ms, 0u);
      ++refused;
    }
    EXPECT_EQ(refused, 40u - 1 - 16);
    (void)co_await runtime::sleep(30ms);
    EXPECT_EQ(w.trial.adds, 1);
    EXPECT_EQ(hand.number(17), 5u);
    hand.connection->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(RepeatedRequest, OverConnectionsThatAreGoneTakesNoPlace) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.trial.add_time = 20ms;
    for (std::uint64_t id = 1; id <= 30; ++id) {
      Hand hand;
      co_await connect(w, hand);
      hand.add(w, id, {77, 1});
      (void)co_await runtime::sleep(100us);
      hand.connection->close(Error(Errc::kCancelled, "lost"));
      (void)co_await runtime::sleep(100us);
    }
    Hand hand;
    co_await connect(w, hand);
    hand.add(w, 31, {77, 1});
    (void)co_await runtime::sleep(30ms);
    EXPECT_EQ(w.trial.adds, 1);
    EXPECT_EQ(hand.number(31), 5u);
    hand.connection->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(RepeatedRequest, GetsTheStoredErrorButRunsAgainAfterOneThatInvitesIt) {
  World world;
  world.run([](World& w) -> Task<void> {
    Hand hand;
    co_await connect(w, hand);
    w.trial.add_error = Error(Errc::kNotFound, "no such counter");
    hand.add(w, 1, {77, 1});
    (void)co_await runtime::sleep(1ms);
    hand.add(w, 2, {77, 1});
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.adds, 1);
    const auto error = decode_error(hand.answers[2]);
    EXPECT_TRUE(error);
    if (error) EXPECT_EQ(error->code, Errc::kNotFound);
    w.trial.add_error = Error(Errc::kUnavailable, "not yet");
    hand.add(w, 3, {77, 2});
    (void)co_await runtime::sleep(1ms);
    hand.add(w, 4, {77, 2});
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.adds, 3);
    hand.connection->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(RepeatedRequest, ThatWasSettledIsRefused) {
  World world;
  world.run([](World& w) -> Task<void> {
    Hand hand;
    co_await connect(w, hand);
    hand.add(w, 1, {77, 1});
    hand.add(w, 2, {77, 2}, 2);
    hand.add(w, 3, {77, 1}, 2);
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.adds, 2);
    EXPECT_TRUE(decode_error(hand.answers[3]));
    hand.connection->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(RepeatedRequest, OfAClientIsForgottenWhenItHasItsAnswer) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        TrialClient trial(*w.client);
        // Far more operations than the memory for answers holds at once.
        for (int i = 0; i < 500; ++i) {
          const Words request = words(1);
          const auto reply = co_await trial.add(request);
          EXPECT_TRUE(reply) << reply.error().message();
          if (!reply) co_return;
        }
        EXPECT_EQ(w.trial.sum, 500u);
      },
      {.deduplication = {.bytes = 2000}});
}

}  // namespace
}  // namespace ff::rpc::tests
