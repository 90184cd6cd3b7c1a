// A replicated register under every fault of the network, of the processes and of the power is linearizable; without
// the reader's write-back it is not, and the checker sees it.
#include <gtest/gtest.h>

#include "libcommon/testing/seeds.hpp"
#include "tests/sim/quorum_register.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;

QuorumOptions rough(bool write_back) {
  return {.nodes = 5,
          .operations = 12,
          .write_back = write_back,
          .faults = {.kill = 700ms,
                     .pause = 700ms,
                     .partition = 900ms,
                     .cut_one_way = 700ms,
                     .reset = 400ms,
                     .slow_link = 100ms,
                     .slow_disk = 500ms,
                     .clock_step = 1s,
                     .drift_ppm_max = 200,
                     .lasting = 300ms,
                     .down_max = 2,
                     .heal_at = 3s}};
}

TEST(SimQuorum, RegisterIsLinearizableUnderFaults) {
  const auto run = testing::run_seeds("SimQuorum.RegisterIsLinearizableUnderFaults", 1, 1000,
                                      [](testing::SimWorld& world) { return quorum_scenario(world, rough(true)); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(SimQuorum, ReadsThatAreNotWrittenBackAreConvicted) {
  const auto scenario = [](testing::SimWorld& world) { return quorum_scenario(world, rough(false)); };
  const auto run =
      testing::run_seeds("SimQuorum.ReadsThatAreNotWrittenBackAreConvicted", 1, 1000, scenario, {.fixed = true});
  ASSERT_TRUE(run.failed_seed);
  EXPECT_NE(run.verdict->message().find("not linearizable"), std::string::npos) << run.report;
  EXPECT_TRUE(run.replayed) << run.report;
}

TEST(SimQuorum, EverySeedGoesTheSameWayTwice) {
  const auto scenario = [](testing::SimWorld& world) { return quorum_scenario(world, rough(true)); };
  std::uint64_t previous = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto once = testing::run_seed(seed, scenario);
    const auto again = testing::run_seed(seed, scenario);
    EXPECT_EQ(once.hash, again.hash) << seed;
    EXPECT_EQ(once.events, again.events) << seed;
    EXPECT_EQ(once.log, again.log) << seed;
    EXPECT_NE(once.hash, previous) << "another seed is another run";
    previous = once.hash;
  }
}

}  // namespace
}  // namespace ff::sim
