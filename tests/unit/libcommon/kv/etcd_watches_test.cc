#include "libcommon/kv/etcd_watches.hpp"

#include <gtest/gtest.h>

#include "tests/support/virtual_env.hpp"
#include "tests/unit/libcommon/kv/fake_etcd_client.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
namespace rpc = etcdserverpb;

struct World {
  tests::VirtualEnv env;
  tests::FakeEtcdClient client;
  runtime::Scope scope{env};
  EtcdWatches watches{client, scope};

  void run(Task<Result<>> (*body)(World&)) {
    env.run([](World& world, Task<Result<>> (*test)(World&)) -> Task<bool> {
      const auto result = co_await test(world);
      EXPECT_TRUE(result.has_value()) << result.error().message();
      world.scope.cancel();
      (void)co_await world.scope.join();
      co_return true;
    }(*this, body));
  }
};

rpc::WatchResponse event_of(const rpc::WatchRequest& create, std::int64_t revision) {
  rpc::WatchResponse answer;
  answer.set_watch_id(create.create_request().watch_id());
  answer.mutable_header()->set_revision(revision);
  answer.add_events()->mutable_kv()->set_mod_revision(revision);
  return answer;
}

TEST(EtcdWatches, AskForWhatComesAfterTheGivenVersion) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    const auto watch = w.watches.add({"a", "b"}, 41);
    FF_CO_TRY(co_await runtime::sleep(1ms));
    auto& stream = *w.client.streams.at(0);
    EXPECT_EQ(stream.written.size(), 1U);
    const auto& create = stream.written.at(0).create_request();
    EXPECT_EQ(create.key(), "a");
    EXPECT_EQ(create.range_end(), "b");
    EXPECT_EQ(create.start_revision(), 42);
    FF_CO_TRY(co_await stream.answers.send(event_of(stream.written[0], 50)));
    FF_CO_TRY_ASSIGN(const Version told, co_await watch->changed());
    EXPECT_EQ(told, 50U);
    co_return {};
  });
}

TEST(EtcdWatches, GoOnAfterTheLastRevisionToldWhenTheStreamBreaks) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    const auto told = w.watches.add({"a", "b"}, 41);
    const auto silent = w.watches.add({"c", "d"}, 7);
    FF_CO_TRY(co_await runtime::sleep(1ms));
    auto& stream = *w.client.streams.at(0);
    FF_CO_TRY(co_await stream.answers.send(event_of(stream.written[0], 50)));
    FF_CO_TRY(co_await runtime::sleep(1ms));
    stream.answers.close();
    FF_CO_TRY(co_await runtime::sleep(2s));
    EXPECT_EQ(w.client.streams.size(), 2U);
    auto& second = *w.client.streams.at(1);
    EXPECT_EQ(second.written.size(), 2U);
    EXPECT_EQ(second.written[0].create_request().start_revision(), 51);
    EXPECT_EQ(second.written[1].create_request().start_revision(), 8);
    EXPECT_NE(second.written[0].create_request().watch_id(), stream.written[0].create_request().watch_id());
    // What was told before is there, and what the old stream's id says is not taken for this one's.
    FF_CO_TRY_ASSIGN(const Version version, co_await told->changed());
    EXPECT_EQ(version, 50U);
    FF_CO_TRY(co_await second.answers.send(event_of(stream.written[1], 60)));
    const auto none = co_await runtime::with_timeout(1s, "watch", silent->changed());
    EXPECT_FALSE(none.has_value());
    co_return {};
  });
}

TEST(EtcdWatches, TellAChangeWhenTheirPastWasCompacted) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    const auto watch = w.watches.add({"a", "b"}, 5);
    FF_CO_TRY(co_await runtime::sleep(1ms));
    auto& stream = *w.client.streams.at(0);
    rpc::WatchResponse compacted;
    compacted.set_watch_id(stream.written[0].create_request().watch_id());
    compacted.set_canceled(true);
    compacted.set_compact_revision(80);
    compacted.mutable_header()->set_revision(95);
    FF_CO_TRY(co_await stream.answers.send(std::move(compacted)));
    FF_CO_TRY_ASSIGN(const Version version, co_await watch->changed());
    EXPECT_EQ(version, 95U);
    FF_CO_TRY(co_await runtime::sleep(1ms));
    EXPECT_EQ(stream.written.size(), 2U);
    EXPECT_EQ(stream.written.at(1).create_request().start_revision(), 96);
    co_return {};
  });
}

TEST(EtcdWatches, ARefusalFailsThatWatchOnly) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    const auto refused = w.watches.add({"a", "b"}, 5);
    auto other = w.watches.add({"c", "d"}, 5);
    FF_CO_TRY(co_await runtime::sleep(1ms));
    auto& stream = *w.client.streams.at(0);
    rpc::WatchResponse canceled;
    canceled.set_watch_id(stream.written[0].create_request().watch_id());
    canceled.set_canceled(true);
    canceled.set_cancel_reason("no permission");
    FF_CO_TRY(co_await stream.answers.send(std::move(canceled)));
    const auto error = co_await refused->changed();
    EXPECT_FALSE(error.has_value());
    if (!error) EXPECT_NE(error.error().message().find("no permission"), std::string::npos);
    FF_CO_TRY(co_await stream.answers.send(event_of(stream.written[1], 9)));
    FF_CO_TRY(co_await other->changed());
    // One that goes is cancelled at the cluster.
    other.reset();
    FF_CO_TRY(co_await runtime::sleep(1ms));
    EXPECT_EQ(stream.written.back().cancel_request().watch_id(), stream.written[1].create_request().watch_id());
    co_return {};
  });
}

TEST(EtcdWatches, AStoppedStoreEndsThem) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    const auto watch = w.watches.add({"a", "b"}, 5);
    w.watches.fail_all({Errc::kCancelled, "stopped"});
    EXPECT_EQ((co_await watch->changed()).error().code(), Errc::kCancelled);
    const auto late = w.watches.add({"a", "b"}, 5);
    EXPECT_EQ((co_await late->changed()).error().code(), Errc::kCancelled);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv
