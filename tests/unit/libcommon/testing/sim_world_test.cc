// Time, clocks, kills, pauses and verdicts of the simulated world.
#include "libcommon/testing/sim_world.hpp"

#include <gtest/gtest.h>

#include <set>

#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {
namespace {

using runtime::Task;

TEST(SimWorld, VirtualTimePassesWithoutWaiting) {
  SimWorld world(1);
  world.add_node();
  world.start(0, [](SimEnv&) -> Task<Result<>> { co_return co_await runtime::sleep(1000h); });
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, 1001h));
  EXPECT_EQ(world.elapsed(), 1000h);
}

TEST(SimWorld, ResultOfMainIsKept) {
  SimWorld world(1);
  world.add_node();
  world.start(0, [](SimEnv&) -> Task<Result<>> { co_return fail(Errc::kNotFound, "no luck"); });
  ASSERT_TRUE(world.run_for(1s));
  ASSERT_TRUE(world.exited(0));
  EXPECT_FALSE(world.up(0));
  EXPECT_EQ(world.exit_result(0).error().message(), "no luck");
}

TEST(SimWorld, KillDestroysFramesAndRestartBeginsAgain) {
  SimWorld world(1);
  world.add_node();
  int starts = 0, destroyed = 0;
  world.start(0, [&](SimEnv&) -> Task<Result<>> {
    struct Guard {
      int& count;
      ~Guard() { ++count; }
    } guard{destroyed};
    ++starts;
    co_return co_await runtime::with_scope([](runtime::Scope& scope) -> Task<Result<>> {
      scope.spawn([]() -> Task<Result<>> { co_return co_await runtime::sleep(10s); }());
      co_return co_await runtime::sleep(10s);
    });
  });
  ASSERT_TRUE(world.run_for(1s));
  world.kill(0);
  EXPECT_FALSE(world.up(0));
  EXPECT_EQ(destroyed, 1);
  world.restart(0);
  ASSERT_TRUE(world.run_for(20s));
  EXPECT_EQ(starts, 2);
  EXPECT_EQ(destroyed, 2);
  EXPECT_TRUE(world.exited(0));
}

TEST(SimWorld, NodeCodeMayKillItsOwnNode) {
  SimWorld world(1);
  world.add_node();
  bool after = false;
  world.start(0, [&](SimEnv& env) -> Task<Result<>> {
    env.world().kill(env.node());
    co_await runtime::yield();
    after = true;
    co_return {};
  });
  ASSERT_TRUE(world.run_for(1s));
  EXPECT_FALSE(world.up(0));
  EXPECT_FALSE(after);
}

TEST(SimWorld, PausedNodeStandsStillAndCatchesUp) {
  SimWorld world(1);
  world.add_node();
  runtime::Duration woke{};
  world.start(0, [&](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await runtime::sleep(1s));
    woke = env.world().elapsed();
    co_return {};
  });
  ASSERT_TRUE(world.run_for(100ms));
  world.pause(0);
  ASSERT_TRUE(world.run_for(5s));
  EXPECT_EQ(woke, 0s);
  world.resume(0);
  ASSERT_TRUE(world.run_for(1s));
  EXPECT_EQ(woke, 5100ms);
}

TEST(SimWorld, FastClockSeesTimersEarly) {
  SimWorld world(1);
  world.add_node();
  world.set_clock_drift(0, 100'000);  // 10 % fast
  world.start(0, [](SimEnv&) -> Task<Result<>> { co_return co_await runtime::sleep(11s); });
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, 20s));
  EXPECT_EQ(world.elapsed(), 10s);
}

TEST(SimWorld, WallClockStepsWithoutTheMonotonicOne) {
  SimWorld world(1);
  world.add_node();
  world.start(0, [](SimEnv&) -> Task<Result<>> { co_return co_await runtime::sleep(1h); });
  ASSERT_TRUE(world.run_for(1s));
  const auto wall = world.env(0)->wall_now();
  const auto monotonic = world.env(0)->now();
  world.step_wall_clock(0, -30s);
  EXPECT_EQ(world.env(0)->wall_now(), wall - 30s);
  EXPECT_EQ(world.env(0)->now(), monotonic);
}

TEST(SimWorld, LivelockIsConvicted) {
  SimWorld world(1, {.steps_per_instant_max = 1000});
  world.add_node();
  world.start(0, [](SimEnv&) -> Task<Result<>> {
    for (;;) co_await runtime::yield();
  });
  const auto result = world.run_for(1s);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kExhausted);
  EXPECT_NE(result.error().message().find("livelock"), std::string::npos);
}

TEST(SimWorld, MissedDeadlineIsATimeout) {
  SimWorld world(1);
  world.add_node();
  world.start(0, [](SimEnv&) -> Task<Result<>> { co_return co_await runtime::sleep(1h); });
  EXPECT_EQ(world.run_until([] { return false; }, 1s).error().code(), Errc::kTimeout);
  EXPECT_EQ(world.elapsed(), 0s) << "no event came within the limit";
  EXPECT_EQ(world.run_until_idle(1s).error().code(), Errc::kTimeout);
  EXPECT_TRUE(world.run_until_idle(2h));
}

TEST(SimWorld, OrderOfReadyTasksIsRandomOrFifo) {
  const auto order = [](std::uint64_t seed, bool random) {
    SimWorld world(seed, {.random_order = random});
    world.add_node();
    std::string out;
    world.start(0, [&out](SimEnv&) -> Task<Result<>> {
      co_return co_await runtime::with_scope([&out](runtime::Scope& scope) -> Task<Result<>> {
        for (char name = 'a'; name < 'g'; ++name) {
          scope.spawn([](std::string& to, char c) -> Task<void> {
            to += c;
            co_return;
          }(out, name));
        }
        co_return {};
      });
    });
    EXPECT_TRUE(world.run_until_idle());
    return out;
  };
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    EXPECT_EQ(order(seed, false), "abcdef");
    seen.insert(order(seed, true));
    EXPECT_EQ(order(seed, true), order(seed, true));
  }
  EXPECT_GT(seen.size(), 20u);
}

}  // namespace
}  // namespace ff::testing
