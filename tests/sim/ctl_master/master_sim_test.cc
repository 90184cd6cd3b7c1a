// Two ffctld over one store, five agents, and a person who submits and controls jobs; kills, pauses, partitions and a
// store that fails. At every moment no node holds two attempts and no job runs twice, also not where a node was given
// up by its master; what was acknowledged is never lost, and done stays done. When the faults end, every job does.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "libcommon/base/defer.hpp"
#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ctl_master/cluster.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::run_seeds;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint64_t kSeeds = 200;
constexpr std::size_t kJobs = 12;

Result<> scenario(SimWorld& world, bool faulty) {
  kv::MemoryCluster store({.seed = world.seed(), .clock = [&world] { return world.now(); }});
  CtlOracle oracle(world);
  const Defer stop([&world] {
    for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
  });
  const auto masters = world.add_nodes(kMasters);
  const auto agents = world.add_nodes(kAgents);
  const auto person = world.add_node();
  for (const auto node : masters)
    world.start(node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_master(env, store, oracle); });
  for (const auto node : agents)
    world.start(node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_agent(env, oracle); });
  world.start(person, [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_person(env, oracle, kJobs); });
  std::function<void()> look = [&] {
    oracle.check();
    world.after(5ms, look);
  };
  world.after(5ms, look);
  if (faulty) {
    auto suffering = masters;
    suffering.insert(suffering.end(), agents.begin(), agents.end());
    testing::FaultPlan faults(world, {.kill = 1500ms,
                                      .pause = 1s,
                                      .partition = 1500ms,
                                      .cut_one_way = 1s,
                                      .reset = 500ms,
                                      .slow_link = 1s,
                                      .drift_ppm_max = 1000,
                                      .lasting = 700ms,
                                      .down_max = 3,
                                      .heal_at = 8s,
                                      .nodes = suffering});
    FF_TRY(world.run_until(faults.healed_at()));
    for (const auto node : masters) world.restart(node, testing::Kill::kProcess);
    FF_TRY(world.run_until([&] { return world.exited(person); }, 120s, "the person ends"));
    FF_TRY(world.exit_result(person));
    if (Result<> live = world.run_until([&] { return oracle.all_done(); }, 240s, "all jobs end"); !live)
      return fail(std::move(live).error().context(oracle.describe()));
    return {};
  }
  FF_TRY(world.run_until([&] { return world.exited(person); }, 60s, "the person ends"));
  FF_TRY(world.exit_result(person));
  if (Result<> live = world.run_until([&] { return oracle.all_done(); }, 120s, "all jobs end"); !live)
    return fail(std::move(live).error().context(oracle.describe()));
  return {};
}

TEST(MasterSim, JobsEndWithoutFaults) {
  const auto run =
      run_seeds("MasterSim.JobsEndWithoutFaults", 1, 20, [](SimWorld& world) { return scenario(world, false); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(MasterSim, KeepsItsPromisesUnderFaults) {
  const auto run = run_seeds("MasterSim.KeepsItsPromisesUnderFaults", 1, kSeeds,
                             [](SimWorld& world) { return scenario(world, true); });
  EXPECT_TRUE(run.ok()) << run.report;
}

}  // namespace
}  // namespace ff::sim
