// Calls over a loopback network: answers, errors, deadlines, cancellation, connections, retries.
#include "libcommon/rpc/client.hpp"

#include "tests/unit/libcommon/rpc/trial.hpp"

namespace ff::rpc::tests {
namespace {

TEST(Call, GivesTheAnswerOfTheHandler) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(42, "hello");
    const auto reply = co_await trial.echo(request);
    EXPECT_TRUE(reply);
    if (!reply) co_return;
    EXPECT_EQ(reply->number(), 42u);
    EXPECT_EQ(reply->text(), "hello");
    EXPECT_EQ(w.trial.peer.role, "client");
    EXPECT_EQ(w.network.connects, 1u);
  });
}

TEST(Call, CarriesCodeAndTextOfTheHandlersErrorAndNamesTheMethod) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(static_cast<std::uint64_t>(Errc::kNotFound), "chunk 7: no such\nchunk");
    const auto reply = co_await trial.fail(request);
    EXPECT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Errc::kNotFound);
    // Control characters do not travel.
    EXPECT_EQ(reply.error().message(), "ff.trial.Trial/Fail at 10.0.0.1:1: chunk 7: no such?chunk");
    EXPECT_EQ(w.trial.puts, 1);
  });
}

TEST(Call, ManyAtOnceShareOneConnectionAndEachGetsItsOwnAnswer) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    int right = 0;
    for (std::uint64_t i = 0; i < 300; ++i) {
      scope.spawn([](World& all, std::uint64_t n, int& count) -> Task<void> {
        TrialClient trial(*all.client);
        // Later calls are answered earlier.
        const Words request = words(400 - n);
        const auto reply = co_await trial.linger(request);
        EXPECT_TRUE(reply);
        if (reply && reply->number() == 400 - n) ++count;
      }(w, i, right));
    }
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(right, 300);
    EXPECT_EQ(w.network.connects, 1u);
    EXPECT_EQ(w.client->in_flight(), 0u);
  });
}

TEST(Call, EndsAtItsDeadlineAndTheHandlerWithIt) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const auto began = w.env.now();
    const Words request = words(0);
    const auto reply = co_await trial.linger(request, {.timeout = 50ms});
    EXPECT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Errc::kTimeout);
    EXPECT_EQ(w.env.now() - began, 50ms);
    EXPECT_LE(w.trial.left, 50ms);
    EXPECT_GT(w.trial.left, 49ms);
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.cancelled, 1);
    EXPECT_EQ(w.server->in_flight(), 0u);
  });
}

TEST(Call, HasNoLaterDeadlineThanItsCallersContext) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(0);
    const auto reply = co_await with_timeout(20ms, "outer", trial.linger(request, {.timeout = 10s}));
    EXPECT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Errc::kTimeout);
    EXPECT_LE(w.trial.left, 20ms);
  });
}

TEST(Call, CancelledByItsCallerCancelsTheHandler) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::optional<Error> error;
    scope.spawn([](World& all, std::optional<Error>& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(0);
      const auto reply = co_await trial.linger(request);
      if (!reply) out = reply.error();
    }(w, error));
    (void)co_await runtime::sleep(5ms);
    EXPECT_EQ(w.server->in_flight(), 1u);
    scope.cancel(Error(Errc::kCancelled, "changed my mind"));
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(error->code(), Errc::kCancelled);
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.why, "cancelled: cancelled by the client");
    EXPECT_EQ(w.server->in_flight(), 0u);
    EXPECT_EQ(w.client->in_flight(), 0u);
  });
}

TEST(Call, PassesDeadlineTraceAndCancellationOnThroughTwoHops) {
  World world;
  world.run([](World& w) -> Task<void> {
    // A second server; the first relays to it.
    Trial second;
    Server far(w.env);
    EXPECT_TRUE(far.add(second));
    EXPECT_TRUE(co_await far.listen(World::address(2)));
    Client between(w.env, World::peer(2));
    TrialClient next(between);
    w.trial.next = &next;

    runtime::Scope scope(co_await runtime::current_context());
    scope.context().set_trace(0xfeed);
    scope.spawn([](World& all) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(0);
      EXPECT_FALSE(co_await trial.relay(request, {.timeout = 3s}));
    }(w));
    (void)co_await runtime::sleep(5ms);
    EXPECT_EQ(second.lingers, 1);
    EXPECT_EQ(second.trace, 0xfeedu);
    EXPECT_LT(second.left, 3s);
    EXPECT_GT(second.left, 2900ms);
    scope.cancel();
    EXPECT_TRUE(co_await scope.join());
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(second.cancelled, 1);
    co_await between.stop();
    co_await far.stop(1s);
  });
}

TEST(Call, ReconnectsAndRetriesAnIdempotentMethodWhenTheConnectionIsLost) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    bool ok = false;
    w.trial.add_time = 20ms;
    scope.spawn([](World& all, bool& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(9);
      out = static_cast<bool>(co_await trial.put_http_value(request));
    }(w, ok));
    (void)co_await runtime::sleep(5ms);
    w.network.cut("cable pulled");
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(ok);
    EXPECT_EQ(w.network.connects, 2u);
    EXPECT_EQ(w.trial.puts, 2);
  });
}

TEST(Call, RunsAnOperationOnceThoughItsAnswerWasLost) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::uint64_t sum = 0;
    w.trial.add_time = 20ms;
    scope.spawn([](World& all, std::uint64_t& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(5);
      const auto reply = co_await trial.add(request);
      EXPECT_TRUE(reply) << reply.error().message();
      if (reply) out = reply->number();
    }(w, sum));
    (void)co_await runtime::sleep(5ms);
    w.network.cut("cable pulled");
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(sum, 5u);
    EXPECT_EQ(w.trial.adds, 1);  // the second attempt joined or was answered from memory
    EXPECT_EQ(w.network.connects, 2u);
  });
}

TEST(Call, RunsAnOperationOnceThoughItsAnswerIsAskedForAfterTheMemoryOfAnswersIsOver) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::uint64_t sum = 0;
    w.trial.add_time = 20ms;
    scope.spawn([](World& all, std::uint64_t& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(5);
      const auto reply = co_await trial.add(request, {.timeout = 1h});
      EXPECT_TRUE(reply) << reply.error().message();
      if (reply) out = reply->number();
    }(w, sum));
    (void)co_await runtime::sleep(5ms);
    w.network.refuse_connects = true;
    w.network.cut("partition");
    // Longer than answers are kept for those who may no longer come.
    (void)co_await runtime::sleep(11min);
    w.network.refuse_connects = false;
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(sum, 5u);
    EXPECT_EQ(w.trial.adds, 1);
  });
}

TEST(Call, DoesNotRepeatAnOperationOnAnotherStartOfTheServer) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::optional<Error> error;
    w.trial.add_time = 20ms;
    scope.spawn([](World& all, std::optional<Error>& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(5);
      const auto reply = co_await trial.add(request);
      if (!reply) out = reply.error();
    }(w, error));
    (void)co_await runtime::sleep(5ms);
    w.network.server_identity.instance_id = 2;
    w.network.cut("killed");
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(error.has_value());
    if (!error) co_return;
    EXPECT_EQ(error->code(), Errc::kUnavailable);
    EXPECT_NE(error->message().find("nobody knows whether it has run"), std::string::npos) << error->message();
    EXPECT_EQ(w.trial.adds, 1);
  });
}

TEST(Call, JoinsTheRunningOperationWhenAnAttemptTakesTooLong) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.trial.add_time = 50ms;
    TrialClient trial(*w.client);
    const Words request = words(5);
    const auto reply = co_await trial.add(request, {.attempt_timeout = 20ms, .attempts = 5});
    EXPECT_TRUE(reply);
    EXPECT_EQ(w.trial.adds, 1);
    EXPECT_EQ(w.trial.sum, 5u);
  });
}

TEST(Call, WithOneAttemptCarriesNoKeyAndIsNotRepeated) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    w.trial.add_error = Error(Errc::kUnavailable, "later");
    const Words request = words(5);
    EXPECT_FALSE(co_await trial.add(request, {.attempts = 1}));
    EXPECT_EQ(w.trial.adds, 1);
  });
}

TEST(Call, RetriesAsOftenAsItMayAndNotEarlierThanAdvised) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.trial.retry_after = 200ms;
    TrialClient trial(*w.client);
    const auto began = w.env.now();
    const Words request = words(static_cast<std::uint64_t>(Errc::kExhausted), "full");
    const auto reply = co_await trial.fail(request, {.attempts = 3});
    EXPECT_EQ(reply.error().code(), Errc::kExhausted);
    EXPECT_EQ(w.trial.puts, 3);
    EXPECT_GE(w.env.now() - began, 400ms);
    EXPECT_LT(w.env.now() - began, 500ms);
  });
}

TEST(Call, GivesUpBeforeAPauseThatOutlastsItsDeadline) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.trial.retry_after = 10s;
    TrialClient trial(*w.client);
    const auto began = w.env.now();
    const Words request = words(static_cast<std::uint64_t>(Errc::kExhausted), "full");
    const auto reply = co_await trial.fail(request, {.timeout = 1s});
    // The reason, not a timeout.
    EXPECT_EQ(reply.error().code(), Errc::kExhausted);
    EXPECT_LT(w.env.now() - began, 10ms);
  });
}

TEST(Call, WaitsForAServerThatIsNotThereYet) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.network.refuse_connects = true;
    runtime::Scope scope(co_await runtime::current_context());
    bool ok = false;
    scope.spawn([](World& all, bool& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(1);
      out = static_cast<bool>(co_await trial.echo(request));
    }(w, ok));
    (void)co_await runtime::sleep(3s);
    EXPECT_GT(w.network.connects, 3u);
    EXPECT_LT(w.network.connects, 12u);  // it backs off
    w.network.refuse_connects = false;
    EXPECT_TRUE(co_await scope.join());
    EXPECT_TRUE(ok);
  });
}

TEST(Call, ThatDoesNotWaitFailsAtOnceWhileThereIsNoServer) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.network.refuse_connects = true;
    TrialClient trial(*w.client);
    const Words request = words(1);
    const auto began = w.env.now();
    const auto reply = co_await trial.echo(request, {.wait_for_connection = false});
    EXPECT_EQ(reply.error().code(), Errc::kUnavailable);
    EXPECT_NE(reply.error().message().find("connection refused"), std::string::npos);
    EXPECT_LT(w.env.now() - began, 1ms);
    // While it backs off no attempt is made.
    const std::size_t connects = w.network.connects;
    EXPECT_FALSE(co_await trial.echo(request, {.wait_for_connection = false}));
    EXPECT_EQ(w.network.connects, connects);
  });
}

TEST(Call, WithoutAServerTimesOutWithTheReason) {
  World world;
  world.run([](World& w) -> Task<void> {
    w.network.refuse_connects = true;
    TrialClient trial(*w.client);
    const Words request = words(1);
    const auto reply = co_await trial.echo(request, {.timeout = 1s});
    EXPECT_EQ(reply.error().code(), Errc::kTimeout);
    EXPECT_NE(reply.error().message().find("connection refused"), std::string::npos) << reply.error().message();
  });
}

TEST(Call, RefusesARequestThatNoMessageHolds) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    Words request;
    request.set_data(std::string(net::kMessageBytesMax, 'x'));
    const auto reply = co_await trial.echo(request);
    EXPECT_EQ(reply.error().code(), Errc::kInvalidArgument);
    EXPECT_NE(reply.error().message().find("bulk"), std::string::npos);
  });
}

TEST(Call, WaitsUntilASlowServerHasReadWhatIsQueued) {
  World world;
  world.network.queue_bytes_max = 100'000;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    int ok = 0;
    for (int i = 0; i < 20; ++i) {
      scope.spawn([](World& all, int& count) -> Task<void> {
        TrialClient trial(*all.client);
        Words request;
        request.set_data(std::string(60'000, 'x'));
        const auto reply = co_await trial.echo(request);
        EXPECT_TRUE(reply) << reply.error().message();
        if (reply && reply->data().size() == 60'000) ++count;
      }(w, ok));
    }
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(ok, 20);
  });
}

// Fills what the client may queue: a request whose delivery takes a while.
Task<void> fill_queue(World& w) {
  TrialClient trial(*w.client);
  Words request;
  request.set_data(std::string(w.network.queue_bytes_max + 1000, 'x'));
  const auto reply = co_await trial.echo(request);
  EXPECT_TRUE(reply) << reply.error().message();
}

TEST(Call, CancelledWhileTheQueueIsFullCancelsTheHandler) {
  World world;
  world.network.queue_bytes_max = 100'000;
  world.network.delay = 10ms;
  world.run([](World& w) -> Task<void> {
    runtime::Scope lingering(co_await runtime::current_context()), filling(co_await runtime::current_context());
    lingering.spawn([](World& all) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(0);
      EXPECT_FALSE(co_await trial.linger(request, {.timeout = 1h}));
    }(w));
    (void)co_await runtime::sleep(100ms);
    EXPECT_EQ(w.trial.lingers, 1);
    filling.spawn(fill_queue(w));
    co_await runtime::yield();
    EXPECT_GT(w.client->connection(net::TrafficClass::kMetadata)->queued_bytes(), w.network.queue_bytes_max);
    lingering.cancel(Error(Errc::kCancelled, "changed my mind"));
    EXPECT_TRUE(co_await lingering.join());
    EXPECT_TRUE(co_await filling.join());
    (void)co_await runtime::sleep(50ms);
    EXPECT_EQ(w.trial.why, "cancelled: cancelled by the client");
    EXPECT_EQ(w.server->in_flight(), 0u);
  });
}

TEST(Call, CancelledCancelsWhatItsAbandonedAttemptsStarted) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    scope.spawn([](World& all) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(0);
      const IdempotencyKey key{.client = 77, .sequence = 1};
      EXPECT_FALSE(co_await trial.linger(request, {.timeout = 1h, .attempt_timeout = 20ms, .attempts = 5, .key = key}));
    }(w));
    // The second attempt has joined what the first began.
    (void)co_await runtime::sleep(45ms);
    EXPECT_EQ(w.trial.lingers, 1);
    EXPECT_EQ(w.client->in_flight(), 1u);
    scope.cancel(Error(Errc::kCancelled, "changed my mind"));
    EXPECT_TRUE(co_await scope.join());
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.cancelled, 1);
    EXPECT_EQ(w.server->in_flight(), 0u);
  });
}

TEST(Call, TimesOutWhenNothingComesBack) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(1);
    EXPECT_TRUE(co_await trial.echo(request));
    w.network.swallow = true;
    const auto reply = co_await trial.echo(request, {.timeout = 100ms});
    EXPECT_EQ(reply.error().code(), Errc::kTimeout);
    EXPECT_EQ(w.client->in_flight(), 0u);
  });
}

TEST(Call, BeyondTheBoundOfWaitingCallsIsRefused) {
  World world;
  world.client_options.calls_max = 2;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    for (int i = 0; i < 2; ++i) {
      scope.spawn([](World& all) -> Task<void> {
        TrialClient trial(*all.client);
        const Words request = words(100);
        EXPECT_TRUE(co_await trial.linger(request));
      }(w));
    }
    (void)co_await runtime::sleep(1ms);
    TrialClient trial(*w.client);
    const Words request = words(1);
    EXPECT_EQ((co_await trial.echo(request, {.attempts = 1})).error().code(), Errc::kExhausted);
    EXPECT_TRUE(co_await scope.join());
  });
}

TEST(Client, StoppedEndsCallsInFlight) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::optional<Error> error;
    scope.spawn([](World& all, std::optional<Error>& out) -> Task<void> {
      TrialClient trial(*all.client);
      const Words request = words(0);
      const auto reply = co_await trial.linger(request);
      if (!reply) out = reply.error();
    }(w, error));
    (void)co_await runtime::sleep(1ms);
    co_await w.client->stop();
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(error->code(), Errc::kUnavailable);
    TrialClient trial(*w.client);
    const Words request = words(1);
    EXPECT_FALSE(co_await trial.echo(request));
  });
}

TEST(Client, KeepsOneConnectionForEachTrafficClass) {
  World world;
  world.run([](World& w) -> Task<void> {
    TrialClient trial(*w.client);
    const Words request = words(1);
    EXPECT_TRUE(co_await trial.echo(request, {.traffic = net::TrafficClass::kStorage}));
    EXPECT_TRUE(co_await trial.echo(request, {.traffic = net::TrafficClass::kControl}));
    EXPECT_TRUE(co_await trial.echo(request, {.traffic = net::TrafficClass::kControl}));
    EXPECT_EQ(w.network.connects, 2u);
    EXPECT_EQ(w.server->connections(), 2u);
  });
}

}  // namespace
}  // namespace ff::rpc::tests
