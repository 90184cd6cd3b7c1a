// The simulator finds bugs: three broken toy protocols are convicted within 1,000 seeds, their corrected versions
// survive 10,000.
#include "tests/sim/toys.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace ff::sim {
namespace {

using testing::run_seeds;
using testing::SeedRun;

constexpr std::uint64_t kConvictWithin = 1'000;
constexpr std::uint64_t kSurvive = 10'000;

void expect_convicted(const char* name, Result<> (*scenario)(testing::SimWorld&, bool), const char* verdict) {
  const auto broken = [scenario](testing::SimWorld& world) { return scenario(world, true); };
  const SeedRun run = run_seeds(name, 1, kConvictWithin, broken, {.fixed = true});
  ASSERT_TRUE(run.failed_seed) << "survived " << run.seeds << " seeds";
  EXPECT_NE(run.verdict->message().find(verdict), std::string::npos) << run.report;
  EXPECT_TRUE(run.replayed) << run.report;
  ::testing::Test::RecordProperty("seeds_until_convicted", static_cast<int>(run.seeds));
}

void expect_survives(const char* name, Result<> (*scenario)(testing::SimWorld&, bool)) {
  const auto correct = [scenario](testing::SimWorld& world) { return scenario(world, false); };
  const SeedRun run = run_seeds(name, 1, kSurvive, correct);
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(SimToys, RegisterWithoutCompareAndSetIsConvicted) {
  expect_convicted("SimToys.RegisterWithoutCompareAndSetIsConvicted", register_scenario, "lost update");
}
TEST(SimToys, RegisterWithCompareAndSetSurvives) {
  expect_survives("SimToys.RegisterWithCompareAndSetSurvives", register_scenario);
}
TEST(SimToys, LockWithoutFencingIsConvicted) {
  expect_convicted("SimToys.LockWithoutFencingIsConvicted", lock_scenario, "two held the lock");
}
TEST(SimToys, LockWithFencingSurvives) { expect_survives("SimToys.LockWithFencingSurvives", lock_scenario); }
TEST(SimToys, LogWithoutSyncIsConvicted) {
  expect_convicted("SimToys.LogWithoutSyncIsConvicted", log_scenario, "acknowledged and is lost");
}
TEST(SimToys, LogWithSyncSurvives) { expect_survives("SimToys.LogWithSyncSurvives", log_scenario); }

}  // namespace
}  // namespace ff::sim
