// What a server does beside calling handlers: admission, authorisation, stopping, counting, telling.
#include "libcommon/rpc/server.hpp"

#include <thread>

#include "libcommon/metrics/text.hpp"
#include "tests/unit/libcommon/rpc/trial.hpp"

namespace ff::rpc::tests {
namespace {

// Starts `count` calls of Linger for `ms` and says how they ended.
Task<void> linger(World& w, std::uint64_t ms, std::vector<Result<Words>>& out, CallOptions options) {
  TrialClient trial(*w.client);
  const Words request = words(ms);
  out.push_back(co_await trial.linger(request, options));
}
std::size_t count(const std::vector<Result<Words>>& results, Errc code) {
  std::size_t n = 0;
  for (const auto& result : results) n += !result && result.error().code() == code;
  return n;
}

TEST(Server, RefusesWhatIsBeyondItsBoundWithAdviceAndRunsTheRest) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        runtime::Scope scope(co_await runtime::current_context());
        std::vector<Result<Words>> results;
        for (int i = 0; i < 10; ++i) scope.spawn(linger(w, 50, results, {.attempts = 1}));
        (void)co_await runtime::sleep(5ms);
        EXPECT_EQ(w.server->in_flight(), 4u);
        EXPECT_EQ(count(results, Errc::kExhausted), 6u);
        EXPECT_TRUE(co_await scope.join());
        EXPECT_EQ(w.trial.lingers, 4);
        EXPECT_EQ(w.server->in_flight(), 0u);
      },
      {.admission = {.requests = 4}});
}

TEST(Server, ClientsThatRetryGetThroughAnOverload) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        runtime::Scope scope(co_await runtime::current_context());
        std::vector<Result<Words>> results;
        for (int i = 0; i < 8; ++i) scope.spawn(linger(w, 5, results, {.attempts = 8}));
        EXPECT_TRUE(co_await scope.join());
        for (const auto& result : results) EXPECT_TRUE(result);
        EXPECT_EQ(results.size(), 8u);
      },
      {.admission = {.requests = 2}});
}

TEST(Server, StopsReadingAConnectionThatHasUsedItsShareAndReadsOn) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        runtime::Scope scope(co_await runtime::current_context());
        std::vector<Result<Words>> results;
        for (int i = 0; i < 30; ++i) scope.spawn(linger(w, 10, results, {.attempts = 1}));
        (void)co_await runtime::sleep(5ms);
        EXPECT_EQ(w.server->in_flight(), 3u);
        EXPECT_GT(w.network.pauses, 0u);
        EXPECT_TRUE(co_await scope.join());
        // Nothing was refused: the others waited in the connection.
        for (const auto& result : results) EXPECT_TRUE(result);
      },
      {.admission = {.connection_requests = 3}});
}

TEST(Server, ChargesTheBulkThatARequestAnnounces) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        TrialClient trial(*w.client);
        std::vector<std::byte> big(200'000);
        const Words request = words(0);
        const auto reply = co_await trial.turn(request, {.bulk_receive = big});
        EXPECT_EQ(reply.error().code(), Errc::kInvalidArgument);
        EXPECT_NE(reply.error().message().find("split it"), std::string::npos);
      },
      {.admission = {.bytes = 100'000}});
}

TEST(Server, RefusesLargeRequests) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        TrialClient trial(*w.client);
        Words request;
        request.set_data(std::string(2000, 'x'));
        const auto reply = co_await trial.echo(request);
        EXPECT_EQ(reply.error().code(), Errc::kInvalidArgument);
        EXPECT_NE(reply.error().message().find("bulk"), std::string::npos);
      },
      {.request_bytes_max = 1000});
}

TEST(Server, NamesAnUnknownMethod) {
  World world;
  world.run([](World& w) -> Task<void> {
    const MethodInfo method{.service = "ff.trial.Trial", .name = "Absent", .id = 0x12345678};
    const auto reply = co_await call<Words>(*w.client, method, words(1), {});
    EXPECT_EQ(reply.error().code(), Errc::kUnsupported);
    EXPECT_NE(reply.error().message().find("ff.trial.Trial/Absent at 10.0.0.1:1: no method with id 0x12345678"),
              std::string::npos)
        << reply.error().message();
  });
}

TEST(Server, RefusesTheSameServiceTwice) {
  World world;
  Trial trial;
  Server server(world.env);
  EXPECT_TRUE(server.add(trial));
  const auto again = server.add(trial);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::kAlreadyExists);
}

TEST(Server, LetsOnlyAllowedRolesIn) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        TrialClient trial(*w.client);
        const Words request = words(1);
        const auto reply = co_await trial.echo(request);
        EXPECT_EQ(reply.error().code(), Errc::kPermission);
        EXPECT_NE(reply.error().message().find("role 'client'"), std::string::npos);
        co_await w.client->stop();
        w.network.client_identity.role = "storage";
        w.client = std::make_unique<Client>(w.env, World::peer());
        TrialClient storage(*w.client);
        EXPECT_TRUE(co_await storage.echo(request));
      },
      {}, allow_roles({"meta", "storage"}));
}

TEST(Authorize, ByRoleNeedsTheClusterKeyAndByUserTheKernelsWord) {
  EXPECT_FALSE(allow_roles({"meta"})({.role = "meta", .authenticated = false}));
  EXPECT_TRUE(allow_roles({"meta"})({.role = "meta", .authenticated = true}));
  EXPECT_FALSE(allow_local_user(5)({.role = "x", .authenticated = true}));
  EXPECT_TRUE(allow_local_user(5)({.local = net::PeerCredentials{.pid = 1, .uid = 5, .gid = 6}}));
  EXPECT_FALSE(allow_local_user(5)({.local = net::PeerCredentials{.pid = 1, .uid = 4, .gid = 5}}));
}

TEST(Server, CancelsHandlersWhoseConnectionIsLost) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::vector<Result<Words>> results;
    scope.spawn(linger(w, 0, results, {.attempts = 1}));
    (void)co_await runtime::sleep(5ms);
    w.network.cut("cable pulled");
    EXPECT_TRUE(co_await scope.join());
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(w.trial.why, "unavailable: client is gone: cable pulled");
    EXPECT_EQ(w.server->connections(), 0u);
  });
}

TEST(Server, LetsRequestsEndWhenItStopsAndCancelsThoseThatTakeTooLong) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::vector<Result<Words>> results;
    scope.spawn(linger(w, 100, results, {.attempts = 1}));
    scope.spawn(linger(w, 0, results, {.attempts = 1}));
    (void)co_await runtime::sleep(5ms);
    scope.spawn([](World& all) -> Task<void> {
      (void)co_await runtime::sleep(10ms);
      TrialClient trial(*all.client);
      const Words request = words(1);
      const auto reply = co_await trial.echo(request, {.attempts = 1});
      EXPECT_EQ(reply.error().code(), Errc::kUnavailable);
      EXPECT_NE(reply.error().message().find("server is stopping"), std::string::npos) << reply.error().message();
    }(w));
    const auto began = w.env.now();
    co_await w.server->stop(200ms);
    EXPECT_NEAR(std::chrono::duration<double>(w.env.now() - began).count(), 0.2, 0.01);
    EXPECT_TRUE(co_await scope.join());
    EXPECT_EQ(results.size(), 2u);
    EXPECT_TRUE(results[0]);
    EXPECT_FALSE(results[1]);
    EXPECT_EQ(w.trial.cancelled, 1);
    EXPECT_EQ(w.server->in_flight(), 0u);
    EXPECT_EQ(w.server->connections(), 0u);
  });
}

TEST(Server, CountsByMethod) {
  metrics::Registry registry;
  World world;
  world.run(
      [](World& w) -> Task<void> {
        TrialClient trial(*w.client);
        const Words request = words(1);
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(co_await trial.echo(request));
        const Words bad = words(static_cast<std::uint64_t>(Errc::kNotFound), "no");
        EXPECT_FALSE(co_await trial.fail(bad));
      },
      {.registry = &registry});
  const std::string text = metrics::to_text(registry.collect());
  const auto has = [&](const std::string& line) { return text.find(line) != std::string::npos; };
  EXPECT_TRUE(has("rpc_server_requests_total{method=\"Echo\",service=\"ff.trial.Trial\"} 3")) << text;
  EXPECT_TRUE(has("rpc_server_errors_total{method=\"Fail\",service=\"ff.trial.Trial\"} 1"));
  EXPECT_TRUE(has("rpc_server_latency_seconds_count{method=\"Echo\",service=\"ff.trial.Trial\"} 3"));
  EXPECT_TRUE(has("rpc_server_in_flight{method=\"Echo\",service=\"ff.trial.Trial\"} 0"));
}

TEST(Server, TellsAnotherThreadWhatIsInFlight) {
  World world;
  world.run([](World& w) -> Task<void> {
    runtime::Scope scope(co_await runtime::current_context());
    std::vector<Result<Words>> results;
    scope.context().set_trace(0xabc);
    scope.spawn(linger(w, 1000, results, {}));
    (void)co_await runtime::sleep(5ms);
    const auto source = w.server->request_source(10s);
    metrics::RequestList list;
    std::atomic<bool> done = false;
    w.env.wait_for_posts = true;
    std::thread reader([&] {
      list = source();
      done = true;
    });
    while (!done) co_await runtime::yield();
    reader.join();
    w.env.wait_for_posts = false;
    const auto& rows = list.rows;
    EXPECT_EQ(list.total, 1u);
    EXPECT_EQ(rows.size(), 1u);
    if (rows.size() != 1) co_return;
    EXPECT_EQ(rows[0].service, "ff.trial.Trial");
    EXPECT_EQ(rows[0].method, "Linger");
    EXPECT_EQ(rows[0].peer, "loopback (client)");
    EXPECT_EQ(rows[0].trace_id, "0000000000000abc");
    EXPECT_EQ(rows[0].state, "running");
    EXPECT_GT(rows[0].age_ns, 4'000'000);
    EXPECT_LT(*rows[0].deadline_ns, 10'000'000'000);
    EXPECT_TRUE(co_await scope.join());
  });
}

TEST(Server, TellsHowManyAreInFlightThoughItShowsOnlyTheOldest) {
  World world;
  world.run(
      [](World& w) -> Task<void> {
        runtime::Scope scope(co_await runtime::current_context());
        std::vector<Result<Words>> results;
        const std::size_t all = metrics::kRequestRowsMax + 200;
        for (std::size_t i = 0; i < all; ++i) scope.spawn(linger(w, 1000, results, {}));
        (void)co_await runtime::sleep(5ms);
        const auto source = w.server->request_source(10s);
        metrics::RequestList list;
        std::atomic<bool> done = false;
        w.env.wait_for_posts = true;
        std::thread reader([&] {
          list = source();
          done = true;
        });
        while (!done) co_await runtime::yield();
        reader.join();
        w.env.wait_for_posts = false;
        EXPECT_EQ(list.rows.size(), metrics::kRequestRowsMax);
        EXPECT_EQ(list.total, all);
        EXPECT_TRUE(co_await scope.join());
      },
      {.admission = {.connection_requests = 2000}});
}

TEST(Server, GivesNoRowsWhenItsEnvDoesNotAnswerOrItHasGone) {
  ff::tests::VirtualEnv env;
  std::function<metrics::RequestList()> source;
  {
    Server server(env);
    source = server.request_source(20ms);
    EXPECT_TRUE(source().rows.empty());  // nobody runs the Env
  }
  EXPECT_TRUE(source().rows.empty());
}

// Bytes as a client of another version, or an attacker, would send them.
class Raw final : public net::ConnectionHandler {
 public:
  std::vector<std::vector<std::byte>> messages;
  std::optional<Error> closed;

 private:
  void on_message(net::Connection&, std::span<const std::byte> message) override {
    messages.emplace_back(message.begin(), message.end());
  }
  void on_closed(net::Connection&, const Error& why) override { closed = why; }
};

net::Message raw(std::initializer_list<int> bytes) {
  net::Message message(bytes.size());
  std::ranges::transform(bytes, message.payload().begin(), [](int b) { return std::byte(b); });
  return message;
}

TEST(Server, DropsAPeerThatSpeaksGarbageAndServesOthers) {
  World world;
  world.run([](World& w) -> Task<void> {
    Raw handler;
    auto connection = co_await w.network.connect(World::peer(), {});
    (*connection)->start(handler);
    EXPECT_TRUE((*connection)->send(raw({1, 2, 3})));
    (void)co_await runtime::sleep(1ms);
    EXPECT_TRUE(handler.closed.has_value());
    TrialClient trial(*w.client);
    const Words request = words(1);
    EXPECT_TRUE(co_await trial.echo(request));
    EXPECT_EQ(w.server->connections(), 1u);
  });
}

TEST(Server, AnswersBytesThatAreNoRequestMessage) {
  World world;
  world.run([](World& w) -> Task<void> {
    Raw handler;
    auto connection = co_await w.network.connect(World::peer(), {});
    (*connection)->start(handler);
    Draft draft = encode_request({.id = 5, .method = method_id("ff.trial.Trial/Echo"), .timeout_us = 1000}, {}, 3);
    for (std::byte& byte : draft.payload) byte = std::byte{0xff};
    EXPECT_TRUE((*connection)->send(std::move(draft.message)));
    (void)co_await runtime::sleep(1ms);
    EXPECT_EQ(handler.messages.size(), 1u);
    if (handler.messages.size() != 1) co_return;
    const auto error = decode_error(handler.messages[0]);
    EXPECT_TRUE(error);
    EXPECT_EQ(error->code, Errc::kInvalidArgument);
    EXPECT_FALSE(error->executed);
    EXPECT_EQ(w.server->in_flight(), 0u);
    (*connection)->close(Error(Errc::kCancelled, "done"));
    (void)co_await runtime::sleep(1ms);
  });
}

TEST(Server, DropsAPeerThatDoesNotReadItsAnswers) {
  World world;
  world.network.queue_bytes_max = 200'000;
  world.run([](World& w) -> Task<void> {
    Raw handler;
    auto connection = co_await w.network.connect(World::peer(), {});
    (*connection)->start(handler);
    (*connection)->pause_reading();
    Words request;
    request.set_data(std::string(50'000, 'x'));
    for (int i = 0; i < 20; ++i) {
      Draft draft =
          encode_request({.id = std::uint64_t(i), .method = method_id("ff.trial.Trial/Echo"), .timeout_us = 100'000},
                         {}, request.ByteSizeLong());
      request.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(draft.payload.data()));
      while (!(*connection)->send(std::move(draft.message))) {
        EXPECT_TRUE(co_await (*connection)->writable());
        draft =
            encode_request({.id = std::uint64_t(i), .method = method_id("ff.trial.Trial/Echo"), .timeout_us = 100'000},
                           {}, request.ByteSizeLong());
        request.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(draft.payload.data()));
      }
    }
    (void)co_await runtime::sleep(10ms);
    EXPECT_FALSE((*connection)->closed());
    EXPECT_GT(w.server->in_flight(), 5u);  // they wait with their answers, and count
    (void)co_await runtime::sleep(200ms);
    EXPECT_TRUE((*connection)->closed());
    EXPECT_EQ(w.server->in_flight(), 0u);
  });
}

}  // namespace
}  // namespace ff::rpc::tests
