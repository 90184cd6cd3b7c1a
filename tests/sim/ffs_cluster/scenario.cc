#include "tests/sim/ffs_cluster/scenario.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/daemon/daemon.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/testing/sim_disk.hpp"
#include "tests/sim/ffs_cluster/client.hpp"
#include "tests/sim/ffs_cluster/cluster.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;
using testing::NodeId;
using testing::SimEnv;
using testing::SimWorld;

namespace {

runtime::Duration random_up_to(SimWorld& world, runtime::Duration most) {
  return runtime::Duration(static_cast<std::int64_t>(world.rng().below(static_cast<std::uint64_t>(most.count()))));
}

Result<> run_to_end(SimWorld& world, NodeId node, runtime::Duration limit, const char* what) {
  FF_TRY(world.run_until([&] { return world.exited(node); }, limit, what));
  return world.exit_result(node);
}

// One bit of a block of chunks, wherever.
void rot_one(SimWorld& world, const Cluster& cluster, NodeId node) {
  const auto folders = ffs::target_folders(cluster.file(), cluster.file().nodes[node]);
  const std::string path = folders[world.rng().below(folders.size())].path + "/blocks.64KiB";
  const auto content = world.storage(node).contents(path);
  if (!content || content->empty()) return;
  const std::uint64_t offset = world.rng().below(content->size());
  (void)world.storage(node).flip_bit(path, offset, static_cast<unsigned>(world.rng().below(8)));
}

void plan_more(SimWorld& world, const ClusterScenario& scenario, Cluster& cluster) {
  const auto storage = cluster.storage();
  const runtime::Duration most = scenario.faults.heal_at * 2 / 3;
  for (std::size_t i = 0; i < scenario.kill_all; ++i) {
    world.after(random_up_to(world, most), [&world, &cluster] {
      for (const NodeId node : cluster.daemons()) world.restart(node);
    });
  }
  const NodeId rotten = storage[world.rng().below(storage.size())];
  for (std::size_t i = 0; i < scenario.rot; ++i)
    world.after(random_up_to(world, most), [&world, &cluster, rotten] { rot_one(world, cluster, rotten); });
  if (scenario.full_disk) {
    const NodeId node = storage[world.rng().below(storage.size())];
    const std::uint64_t left = world.rng().below(1u << 20);
    const runtime::Duration from = random_up_to(world, most);
    world.after(from, [&world, node, left] {
      world.storage(node).model().capacity_bytes = world.storage(node).used_bytes() + left;
    });
    world.after(scenario.faults.heal_at,
                [&world, node] { world.storage(node).model().capacity_bytes = world.options().disk.capacity_bytes; });
  }
}

}  // namespace

Result<> cluster_scenario(SimWorld& world, const ClusterScenario& scenario) {
  Cluster cluster(world);
  Workload work(world, scenario.clients, scenario.operations);
  work.spread = scenario.spread;
  // What runs refers to what is here, and the world outlives it.
  const Defer end([&world] {
    for (NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
  });
  const NodeId helper = world.add_node({.role = "client"});
  const auto clients = world.add_nodes(scenario.clients, {.role = "client"});
  FF_TRY(cluster.bring_up());
  world.start(helper,
              [&](SimEnv& env) -> Task<Result<>> { co_return co_await prepare_files(env, cluster.file(), work); });
  FF_TRY(run_to_end(world, helper, 60s, "files are prepared"));

  for (std::size_t i = 0; i < clients.size(); ++i)
    world.start(clients[i],
                [&, i](SimEnv& env) -> Task<Result<>> { co_return co_await run_client(env, cluster.file(), work, i); });
  testing::FaultPlanOptions faults = scenario.faults;
  faults.nodes = cluster.daemons();
  if (scenario.clients_suffer) faults.nodes.insert(faults.nodes.end(), clients.begin(), clients.end());
  testing::FaultPlan plan(world, faults);
  plan_more(world, scenario, cluster);
  if (scenario.unsure_store) cluster.make_store_unsure();
  world.at(plan.healed_at(), [&cluster] { cluster.heal(); });

  const auto ended = [&] { return std::ranges::all_of(clients, [&](NodeId node) { return world.exited(node); }); };
  FF_TRY(world.run_until([&] { return ended() && world.now() > plan.healed_at(); }, 300s, "clients end"));
  for (const NodeId node : clients) FF_TRY(world.exit_result(node));
  const auto whole = [&] { return cluster.complete() && cluster.equal(); };
  if (Result<> live = world.run_until(whole, 60s, "every chain serves with all members, and they are equal"); !live)
    return fail(std::move(live).error().context(cluster.describe()));
  world.start(helper,
              [&](SimEnv& env) -> Task<Result<>> { co_return co_await look_at_all(env, cluster.file(), work); });
  FF_TRY(run_to_end(world, helper, 60s, "all is looked at"));
  FF_TRY(work.history.check());
  if (!scenario.clean_up) return {};
  world.start(helper, [&](SimEnv& env) -> Task<Result<>> { co_return co_await cluster.wait_until_clean(env); });
  return run_to_end(world, helper, 30min, "nothing is left of what was removed");
}

}  // namespace ff::sim
