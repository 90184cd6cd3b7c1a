// The replicated counter in a simulated cluster with faults: every increment counts once and reads never go back. Two
// broken variants show that the test would tell: one takes a single replica's answer for an acknowledgement, the other
// runs on a disk whose sync() does nothing.
#include "tests/sim/replicated_counter.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/seeds.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/unsynced_disk.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::run_seeds;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint16_t kPort = 7000;
constexpr std::size_t kReplicas = 3, kClients = 3, kIncrements = 10;
constexpr std::uint64_t kSeeds =
    200;  // that the correct counter survives, and within which each broken one is convicted

struct Variant {
  std::size_t quorum = 0;  // see Counter
  bool sync = true;
};

// What all clients together have begun and finished: each read must lie between.
struct Tally {
  std::uint64_t begun = 0, finished = 0, read = 0;
};

Task<Result<>> replicate(SimEnv& env, Variant variant) {
  UnsyncedDisk unsynced(env.disk());
  Replica replica(variant.sync ? static_cast<runtime::Disk&>(env.disk()) : unsynced);
  co_return co_await serve(env, replica, net::Address::tcp("", kPort));
}

Task<Result<>> count(SimEnv& env, Variant variant, Tally& tally) {
  std::vector<net::PeerAddress> replicas;
  for (testing::NodeId node = 0; node < kReplicas; ++node) replicas.push_back(env.world().address(node, kPort));
  Counter counter(env, replicas, env.node(), variant.quorum);
  Result<> result;
  for (std::size_t i = 0; i < kIncrements && result; ++i) {
    // Spread over the time in which there are faults.
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(400))));
    ++tally.begun;
    result = co_await counter.increment();
    if (!result) break;
    ++tally.finished;
    const std::uint64_t least = std::max(tally.finished, tally.read);
    const auto value = co_await counter.read();
    if (!value) result = fail(value.error());
    if (value && (*value < least || *value > tally.begun))
      env.world().convict(fmt::format("read {}, between {} and {} is right", *value, least, tally.begun));
    if (value) tally.read = std::max(tally.read, *value);
  }
  co_await counter.stop();
  co_return result;
}

Result<> scenario(SimWorld& world, Variant variant) {
  Tally tally;
  const auto replicas = world.add_nodes(kReplicas);
  const auto clients = world.add_nodes(kClients);
  for (const auto node : replicas)
    world.start(node, [variant](SimEnv& env) -> Task<Result<>> { co_return co_await replicate(env, variant); });
  for (const auto node : clients)
    world.start(node,
                [&tally, variant](SimEnv& env) -> Task<Result<>> { co_return co_await count(env, variant, tally); });
  testing::FaultPlan faults(world, {.kill = 300ms,
                                    .pause = 700ms,
                                    .partition = 500ms,
                                    .cut_one_way = 500ms,
                                    .reset = 100ms,
                                    .slow_link = 200ms,
                                    .lasting = 200ms,
                                    .heal_at = 3s,
                                    .nodes = replicas});
  FF_TRY(world.run_until([&] { return std::ranges::all_of(clients, [&](auto node) { return world.exited(node); }); },
                         120s, "clients end"));
  for (const auto node : clients) FF_TRY(world.exit_result(node));
  if (faults.faults() == 0) return fail(Errc::kInternal, "no fault struck: this seed tests nothing");
  if (tally.finished != kClients * kIncrements || tally.read != kClients * kIncrements)
    return fail(Errc::kCorrupt, fmt::format("counted {}, {} increments were made", tally.read, tally.finished));
  return {};
}

void expect_convicted(const char* name, Variant variant) {
  const auto run =
      run_seeds(name, 1, kSeeds, [variant](SimWorld& world) { return scenario(world, variant); }, {.fixed = true});
  ASSERT_FALSE(run.ok()) << "survived " << run.seeds << " seeds";
  EXPECT_NE(run.verdict->message().find("is right"), std::string::npos) << run.report;
  EXPECT_TRUE(run.replayed) << run.report;
  ::testing::Test::RecordProperty("seeds_until_convicted", static_cast<int>(run.seeds));
}

TEST(ReplicatedCounter, CountsEveryIncrementOnceUnderFaults) {
  const auto run = run_seeds("ReplicatedCounter.CountsEveryIncrementOnceUnderFaults", 1, kSeeds,
                             [](SimWorld& world) { return scenario(world, {}); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(ReplicatedCounter, WithoutAMajorityIsConvicted) {
  expect_convicted("ReplicatedCounter.WithoutAMajorityIsConvicted", {.quorum = 1});
}

TEST(ReplicatedCounter, WithoutSyncIsConvicted) {
  expect_convicted("ReplicatedCounter.WithoutSyncIsConvicted", {.sync = false});
}

}  // namespace
}  // namespace ff::sim
