// Faults strike, as often as asked and never on more nodes than allowed, and all is well after the healing.
#include "libcommon/testing/fault_plan.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "libcommon/runtime/sleep.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {
namespace {

TEST(FaultPlan, HealsEverythingAtItsTime) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SimWorld world(seed);
    for (const NodeId id : world.add_nodes(4)) {
      world.start(id, [](SimEnv&) -> runtime::Task<Result<>> { co_return co_await runtime::sleep(1000h); });
    }
    FaultPlan faults(world, {.kill = 100ms,
                             .pause = 100ms,
                             .partition = 100ms,
                             .cut_one_way = 100ms,
                             .reset = 100ms,
                             .slow_link = 100ms,
                             .slow_disk = 100ms,
                             .disk_errors = 100ms,
                             .clock_step = 100ms,
                             .drift_ppm_max = 100,
                             .lasting = 300ms,
                             .down_max = 2,
                             .heal_at = 5s});
    std::size_t down_most = 0;
    bool cut_seen = false;
    ASSERT_TRUE(world.run_until(
        [&] {
          std::size_t down = 0;
          for (NodeId id = 0; id < 4; ++id) {
            down += !world.up(id) || world.paused(id) ? 1 : 0;
            cut_seen = cut_seen || world.network().blocked(0, id);
          }
          down_most = std::max(down_most, down);
          return world.now() >= faults.healed_at();
        },
        10s));
    EXPECT_EQ(down_most, 2u);
    EXPECT_TRUE(cut_seen);
    EXPECT_GT(faults.faults(), 100u);
    ASSERT_TRUE(world.run_for(10s));
    for (NodeId a = 0; a < 4; ++a) {
      EXPECT_TRUE(world.up(a) && !world.paused(a));
      EXPECT_EQ(world.storage(a).model().sync_error, 0);
      for (NodeId b = 0; b < 4; ++b) EXPECT_FALSE(world.network().blocked(a, b));
    }
  }
}

// The restart after a kill changes nothing on the disk: what the kill itself left is what the next process finds. So
// half of the kills keep what was not synced.
TEST(FaultPlan, ARestartAfterAKillIsNoPowerCut) {
  const auto was_written = [](SimWorld& world) { return world.storage(0).contents("f").has_value(); };
  for (const bool healed : {false, true}) {
    std::size_t kept = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      SimWorld world(seed);
      world.add_node();
      world.start(0, [first = true](SimEnv& env) mutable -> runtime::Task<Result<>> {
        if (std::exchange(first, false)) {
          FF_CO_TRY(co_await env.disk().open("f", {.write = true, .create = true}));
        }
        co_return co_await runtime::sleep(1000h);
      });
      ASSERT_TRUE(world.run_for(1s));
      FaultPlan faults(world, {.kill = 10ms, .lasting = healed ? runtime::Duration(1000h) : 10ms, .heal_at = 1s});
      ASSERT_TRUE(world.run_until([&] { return !world.up(0); }, 1s, "killed"));
      const bool left = was_written(world);
      ASSERT_TRUE(world.run_until([&] { return world.up(0); }, 10s, "restarted"));
      EXPECT_EQ(was_written(world), left) << "seed " << seed;
      kept += left ? 1 : 0;
    }
    // All kills of processes, and half of the power cuts.
    EXPECT_GT(kept, 60u);
    EXPECT_LT(kept, 90u);
  }
}

TEST(FaultPlan, NothingAskedNothingDone) {
  SimWorld world(1);
  world.add_node();
  FaultPlan faults(world, {.heal_at = 10s});
  ASSERT_TRUE(world.run_for(20s));
  EXPECT_EQ(faults.faults(), 0u);
}

}  // namespace
}  // namespace ff::testing
