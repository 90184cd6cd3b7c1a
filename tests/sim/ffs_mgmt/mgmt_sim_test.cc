// Two managers over one store, five storage nodes, five chains of three; kills, pauses, partitions and a store that
// fails. After every stored state: at most one member of a chain syncs, versions grow by one, who serves is complete,
// the last complete replica is never lost, nobody serves what others go on without, and what is drained leaves no chain
// with fewer copies. When the faults end all serve again, and what is drained is out.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "libcommon/base/defer.hpp"
#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ffs_mgmt/cluster.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::run_seeds;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint64_t kSeeds = 300;

Result<> scenario(SimWorld& world, MgmtVariant variant, Wishes wishes = {}) {
  kv::MemoryCluster store({.seed = world.seed(), .clock = [&world] { return world.now(); }});
  Oracle oracle(world);
  oracle.variant = variant;
  // The processes go before what they use.
  const Defer stop([&world] {
    for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
  });
  const auto managers = world.add_nodes(kManagers);
  const auto storage = world.add_nodes(kStorageNodes);
  const auto admin = world.add_node();
  const runtime::Time flaky_until = world.now() + 8s;
  for (const auto node : managers)
    world.start(node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_manager(env, store, oracle); });
  for (const auto node : storage)
    world.start(node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_storage(env, oracle, flaky_until); });
  world.start(
      admin, [&oracle, wishes](SimEnv& env) -> Task<Result<>> { co_return co_await run_install(env, oracle, wishes); });

  auto suffering = managers;
  suffering.insert(suffering.end(), storage.begin(), storage.end());
  testing::FaultPlan faults(world, {.kill = 1s,
                                    .pause = 800ms,
                                    .partition = 1500ms,
                                    .cut_one_way = 1s,
                                    .reset = 500ms,
                                    .slow_link = 1s,
                                    .drift_ppm_max = 1000,
                                    .lasting = 700ms,
                                    .down_max = 3,
                                    .heal_at = 9s,
                                    .nodes = suffering});
  // Between the stored states as well: leases run out, and views change, at any time.
  std::function<void()> look = [&] {
    oracle.check_fencing();
    world.after(5ms, look);
  };
  world.after(5ms, look);
  FF_TRY(world.run_until(faults.healed_at()));
  // What managers that live on know of the store's faults.
  for (const auto node : managers) world.restart(node, testing::Kill::kProcess);
  FF_TRY(world.run_until([&] { return world.exited(admin); }, 60s, "the administrator ends"));
  if (Result<> live = world.run_until([&] { return oracle.all_serve(kStorageNodes); }, 60s, "all serve"); !live)
    return fail(std::move(live).error().context(oracle.describe()));
  return world.exit_result(admin);
}

void expect_convicted(const char* name, MgmtVariant variant, std::string_view because, std::uint64_t seeds = kSeeds) {
  const auto run =
      run_seeds(name, 1, seeds, [variant](SimWorld& world) { return scenario(world, variant); }, {.fixed = true});
  ASSERT_FALSE(run.ok()) << "survived " << run.seeds << " seeds";
  EXPECT_NE(run.verdict->message().find(because), std::string::npos) << run.report;
  EXPECT_TRUE(run.replayed) << run.report;
  ::testing::Test::RecordProperty("seeds_until_convicted", static_cast<int>(run.seeds));
}

TEST(MgmtSim, KeepsItsPromisesUnderFaults) {
  const auto run =
      run_seeds("MgmtSim.KeepsItsPromisesUnderFaults", 1, kSeeds, [](SimWorld& world) { return scenario(world, {}); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(MgmtSim, DrainsEndUnderFaultsAndCostNoCopy) {
  const auto run = run_seeds("MgmtSim.DrainsEndUnderFaultsAndCostNoCopy", 1, kSeeds,
                             [](SimWorld& world) { return scenario(world, {}, {.drain = true}); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(MgmtSim, ADrainThatIsRegrettedLeavesWholeChains) {
  const auto run = run_seeds("MgmtSim.ADrainThatIsRegrettedLeavesWholeChains", 1, kSeeds,
                             [](SimWorld& world) { return scenario(world, {}, {.drain = true, .regret = true}); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(MgmtSim, NodesThatServeWithoutALeaseAreConvicted) {
  expect_convicted("MgmtSim.NodesThatServeWithoutALeaseAreConvicted", {.lease = false}, "others go on without it");
}

TEST(MgmtSim, NodesThatServeAfterTheirLeaseAreConvicted) {
  expect_convicted("MgmtSim.NodesThatServeAfterTheirLeaseAreConvicted", {.late = 700ms}, "others go on without it");
}

TEST(MgmtSim, SyncsThatOutliveTheirChainVersionAreConvicted) {
  expect_convicted("MgmtSim.SyncsThatOutliveTheirChainVersionAreConvicted", {.sync_for_version = false},
                   "is not complete");
}

TEST(MgmtSim, ManagersWhoseWritesAreNotFencedAreConvicted) {
  expect_convicted("MgmtSim.ManagersWhoseWritesAreNotFencedAreConvicted", {.guard = false}, "routing went back");
}

}  // namespace
}  // namespace ff::sim
