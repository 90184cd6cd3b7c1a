// Faults strike, as often as asked and never on more nodes than allowed, and all is well after the healing.
#include "libcommon/testing/fault_plan.hpp"

#include <gtest/gtest.h>

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

TEST(FaultPlan, NothingAskedNothingDone) {
  SimWorld world(1);
  world.add_node();
  FaultPlan faults(world, {.heal_at = 10s});
  ASSERT_TRUE(world.run_for(20s));
  EXPECT_EQ(faults.faults(), 0u);
}

}  // namespace
}  // namespace ff::testing
