// A whole file system under faults: two managers and two metadata services over one store, five storage daemons with
// real chunk stores, clients through libffs. What clients were told holds: each cell of a file is linearizable, lengths
// are not shorter than what was settled, names are as acknowledged; when the faults end every chain serves with equal
// replicas.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ffs_cluster/scenario.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using testing::run_seeds;
using testing::SimWorld;

void expect_survives(const char* name, std::uint64_t seeds, const ClusterScenario& scenario) {
  const auto began = std::chrono::steady_clock::now();
  const auto run = run_seeds(name, 1, seeds, [&](SimWorld& world) { return cluster_scenario(world, scenario); });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%s: %llu seeds, %.2f seeds/s\n", name, static_cast<unsigned long long>(run.seeds),
              static_cast<double>(run.seeds) / seconds);
  EXPECT_TRUE(run.ok()) << run.report;
}

testing::FaultPlanOptions calm() { return {.heal_at = 100ms, .nodes = {}}; }

testing::FaultPlanOptions rough() {
  return {.kill = 900ms,
          .pause = 1500ms,
          .partition = 2s,
          .cut_one_way = 1500ms,
          .reset = 300ms,
          .slow_link = 800ms,
          .clock_step = 2s,
          .drift_ppm_max = 500,
          .lasting = 500ms,
          .down_max = 2,
          .heal_at = 8s,
          .nodes = {}};
}

TEST(SimCluster, WorksWithoutFaults) { expect_survives("SimCluster.WorksWithoutFaults", 5, {.faults = calm()}); }

TEST(SimCluster, SurvivesKillsPausesAndPartitions) {
  expect_survives("SimCluster.SurvivesKillsPausesAndPartitions", 40, {.faults = rough()});
}

// Long enough that others go on without who is cut off, with clients on both sides.
TEST(SimCluster, SurvivesLongPartitions) {
  testing::FaultPlanOptions faults{
      .partition = 1500ms, .cut_one_way = 1500ms, .reset = 1s, .lasting = 2s, .heal_at = 10s, .nodes = {}};
  expect_survives("SimCluster.SurvivesLongPartitions", 30,
                  {.clients = 4, .operations = 80, .spread = 50ms, .faults = faults});
}

TEST(SimCluster, SurvivesAnUnsureStore) {
  expect_survives("SimCluster.SurvivesAnUnsureStore", 30, {.faults = rough(), .unsure_store = true});
}

// Often, while disks are slow and writes are under way.
TEST(SimCluster, SurvivesThatEverythingLosesPower) {
  testing::FaultPlanOptions faults = rough();
  faults.kill = 3s;
  faults.slow_disk = 300ms;
  expect_survives("SimCluster.SurvivesThatEverythingLosesPower", 20,
                  {.operations = 50, .spread = 60ms, .faults = faults, .kill_all = 3});
}

TEST(SimCluster, SurvivesBadDisks) {
  testing::FaultPlanOptions faults{.kill = 3s,
                                   .reset = 500ms,
                                   .slow_disk = 600ms,
                                   .disk_errors = 1500ms,
                                   .lasting = 300ms,
                                   .heal_at = 8s,
                                   .nodes = {}};
  expect_survives("SimCluster.SurvivesBadDisks", 30, {.faults = faults});
}

TEST(SimCluster, SurvivesAFullDisk) {
  testing::FaultPlanOptions faults{
      .kill = 2s, .reset = 500ms, .slow_link = 1s, .lasting = 300ms, .heal_at = 8s, .nodes = {}};
  expect_survives("SimCluster.SurvivesAFullDisk", 20, {.faults = faults, .full_disk = true});
}

// No replica goes down meanwhile: the rotten one could be the last.
TEST(SimCluster, RottenBitsAreNeverServed) {
  testing::FaultPlanOptions faults{
      .reset = 300ms, .slow_link = 500ms, .slow_disk = 1s, .lasting = 200ms, .heal_at = 6s, .nodes = {}};
  expect_survives("SimCluster.RottenBitsAreNeverServed", 20, {.faults = faults, .rot = 30});
}

TEST(SimCluster, NothingIsLeftOfWhatWasRemoved) {
  testing::FaultPlanOptions faults = rough();
  faults.clock_step = runtime::Duration(0);
  expect_survives("SimCluster.NothingIsLeftOfWhatWasRemoved", 15,
                  {.faults = faults, .unsure_store = true, .clean_up = true});
}

}  // namespace
}  // namespace ff::sim
