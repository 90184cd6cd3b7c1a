// Chains of storage targets under faults: what clients see is linearizable, nothing acknowledged is lost, and when the
// faults end every chain serves with all its replicas, which are equal. Three broken variants show that the test would
// tell.
#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ffs_storage/craq_cluster.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using testing::run_seeds;
using testing::SimWorld;

void expect_survives(const char* name, std::uint64_t seeds, const CraqOptions& options) {
  const auto run = run_seeds(name, 1, seeds, [&](SimWorld& world) { return craq_scenario(world, options); });
  EXPECT_TRUE(run.ok()) << run.report;
}

constexpr const char* kHistory = "not linearizable";
constexpr const char* kDiverged = "make different bytes of the same update";

// By one of these checks, and by no other: a cluster that merely stands still, say, would not be the fault that the
// hazard brings back.
void expect_convicted(const char* name, const CraqOptions& options, std::initializer_list<std::string_view> checks) {
  const auto run = run_seeds(name, 1, 1000, [&](SimWorld& world) { return craq_scenario(world, options); },
                             {.world = {}, .fixed = true});
  ASSERT_FALSE(run.ok()) << "survived " << run.seeds << " seeds";
  EXPECT_TRUE(std::ranges::any_of(checks, [&](std::string_view check) {
    return run.verdict->message().find(check) != std::string::npos;
  })) << run.report;
  EXPECT_TRUE(run.replayed);
  ::testing::Test::RecordProperty("seeds_until_convicted", static_cast<int>(run.seeds));
}

testing::FaultPlanOptions rough() {
  return {.kill = 500ms,
          .pause = 900ms,
          .partition = 900ms,
          .cut_one_way = 900ms,
          .reset = 200ms,
          .slow_link = 500ms,
          .drift_ppm_max = 200,
          .lasting = 300ms,
          .heal_at = 2500ms,
          .nodes = {}};
}

testing::FaultPlanOptions calm() { return {.heal_at = 100ms, .nodes = {}}; }

TEST(SimCraq, ChainsWithoutFaultsAreLinearizable) {
  for (const std::size_t replicas : {1, 2, 3, 5})
    expect_survives("SimCraq.ChainsWithoutFaultsAreLinearizable", 10,
                    {.replicas = replicas, .nodes = replicas, .faults = calm(), .spread = 20ms});
}

TEST(SimCraq, ThreeReplicasSurviveFaults) {
  expect_survives("SimCraq.ThreeReplicasSurviveFaults", 300, {.faults = rough()});
}

TEST(SimCraq, TwoReplicasSurviveFaults) {
  expect_survives("SimCraq.TwoReplicasSurviveFaults", 150, {.replicas = 2, .nodes = 2, .faults = rough()});
}

TEST(SimCraq, FiveReplicasSurviveRepeatedFaults) {
  testing::FaultPlanOptions faults = rough();
  faults.down_max = 2;
  expect_survives("SimCraq.FiveReplicasSurviveRepeatedFaults", 150, {.replicas = 5, .nodes = 5, .faults = faults});
}

TEST(SimCraq, SeveralChainsOnOneNodeSurviveFaults) {
  expect_survives("SimCraq.SeveralChainsOnOneNodeSurviveFaults", 60,
                  {.nodes = 4, .chains = 4, .chunks = 4, .large = true, .faults = rough()});
}

TEST(SimCraq, PartitionsThatTakeClientsAlongGiveNoStaleReads) {
  expect_survives("SimCraq.PartitionsThatTakeClientsAlongGiveNoStaleReads", 150,
                  {.operations = 12, .faults = rough(), .clients_suffer = true});
}

TEST(SimCraq, EverythingLosesPowerAtOnce) {
  expect_survives("SimCraq.EverythingLosesPowerAtOnce", 150, {.kill_all = true, .faults = rough()});
}

// No replica goes down meanwhile: the rotten one could be the last.
TEST(SimCraq, RottenBitsAreNeverServedAndGetRepaired) {
  expect_survives(
      "SimCraq.RottenBitsAreNeverServedAndGetRepaired", 60,
      {.rot = 5, .faults = {.reset = 200ms, .slow_link = 500ms, .lasting = 200ms, .heal_at = 2500ms, .nodes = {}}});
}

TEST(SimCraq, ADiskThatFailsIsReplacedByAnEmptyOne) {
  expect_survives("SimCraq.ADiskThatFailsIsReplacedByAnEmptyOne", 60, {.broken_disks = 1, .faults = calm()});
}

TEST(SimCraq, AReplacedStoreThatComesBackFirstEmptiesNoChain) {
  expect_survives("SimCraq.AReplacedStoreThatComesBackFirstEmptiesNoChain", 40,
                  {.operations = 10, .head_comes_back_empty = true, .faults = calm()});
}

TEST(SimCraq, TheRealStoreSurvivesFaults) {
  expect_survives("SimCraq.TheRealStoreSurvivesFaults", 40, {.real_store = true, .faults = rough()});
}

TEST(SimCraq, TheRealStoreSurvivesThatEverythingLosesPower) {
  expect_survives("SimCraq.TheRealStoreSurvivesThatEverythingLosesPower", 40,
                  {.real_store = true, .kill_all = true, .faults = rough()});
}

// Many readers beside writers of one chunk, so that reads often meet an open update.
CraqOptions crowded() {
  return {.clients = 4,
          .chunks = 1,
          .operations = 25,
          .faults = {.slow_link = 100ms, .lasting = 200ms, .heal_at = 1s, .nodes = {}},
          .spread = 5ms};
}

TEST(SimCraq, ReadersBesideWritersOfOneChunk) {
  expect_survives("SimCraq.ReadersBesideWritersOfOneChunk", 60, crowded());
}

TEST(SimCraq, StaleCommittedReadsAreConvicted) {
  CraqOptions options = crowded();
  options.hazards.stale_committed_reads = true;
  expect_convicted("SimCraq.StaleCommittedReadsAreConvicted", options, {kHistory});
}

TEST(SimCraq, ReusedVersionNumbersAreConvicted) {
  CraqOptions options{.chunks = 1, .operations = 16, .faults = rough(), .update_timeout = 20ms};
  options.hazards.reused_versions = true;
  // Two updates of one number: replicas notice that theirs differ, or readers do.
  expect_convicted("SimCraq.ReusedVersionNumbersAreConvicted", options, {kDiverged, kHistory});
}

TEST(SimCraq, ServingWithoutALeaseIsConvicted) {
  CraqOptions options{.chunks = 1, .operations = 20, .faults = rough(), .clients_suffer = true};
  options.faults.lasting = 1500ms;
  options.hazards.no_fencing = true;
  expect_convicted("SimCraq.ServingWithoutALeaseIsConvicted", options, {kHistory});
}

}  // namespace
}  // namespace ff::ffs
