#include "libcommon/kv/etcd_reads.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/virtual_env.hpp"
#include "tests/unit/libcommon/kv/fake_etcd_client.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

struct World {
  tests::VirtualEnv env;
  tests::FakeEtcdClient client;
  runtime::Scope scope{env};
  EtcdReads reads{client, scope, 3};

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

Task<Result<>> read_fresh(World& w, std::string key, std::set<Version>& snapshots) {
  FF_CO_TRY_ASSIGN(const auto fresh, co_await w.reads.fresh(key));
  EXPECT_EQ(fresh.value.value, "value of " + key);
  EXPECT_EQ(fresh.value.revision, 3);
  snapshots.insert(fresh.snapshot);
  co_return {};
}

TEST(EtcdReads, ThoseThatComeTogetherShareACall) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    std::set<Version> snapshots;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (int i = 0; i < 50; ++i) scope.spawn(read_fresh(w, "key" + std::to_string(i), snapshots));
      FF_CO_TRY(co_await runtime::sleep(1ms));
      w.client.answer.set();
      co_return {};
    }));
    EXPECT_LE(w.client.calls, 3);
    EXPECT_EQ(snapshots.size(), static_cast<std::size_t>(w.client.calls)) << "one revision a call";
    co_return {};
  });
}

TEST(EtcdReads, WhatComesWhileCallsAreUnderWayWaitsForTheNext) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    std::set<Version> snapshots;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (int i = 0; i < 20; ++i) {
        scope.spawn(read_fresh(w, "key" + std::to_string(i), snapshots));
        FF_CO_TRY(co_await runtime::sleep(1ms));
      }
      EXPECT_EQ(w.client.calls, 2);
      w.client.answer.set();
      co_return {};
    }));
    EXPECT_EQ(w.client.calls, 3);
    co_return {};
  });
}

TEST(EtcdReads, ACancelledReadTakesNoOtherWithIt) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    std::set<Version> snapshots;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      runtime::Scope cancelled(scope.context());
      cancelled.spawn(read_fresh(w, "first", snapshots));
      scope.spawn(read_fresh(w, "second", snapshots));
      FF_CO_TRY(co_await runtime::sleep(1ms));
      cancelled.cancel();
      (void)co_await cancelled.join();
      w.client.answer.set();
      co_return {};
    }));
    EXPECT_EQ(snapshots.size(), 1U);
    co_return {};
  });
}

Task<Result<>> read_at(World& w, Version snapshot, int& good) {
  const auto value = co_await w.reads.at("key", snapshot, 1);
  if (value) ++good;
  co_return {};
}

TEST(EtcdReads, ASnapshotThatIsGoneFailsAlone) {
  World world;
  world.run([](World& w) -> Task<Result<>> {
    w.client.gone = 5;
    int good = 0;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (const Version snapshot : {4, 5, 6}) scope.spawn(read_at(w, snapshot, good));
      w.client.answer.set();
      co_return {};
    }));
    EXPECT_EQ(good, 2);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv
