#include "libcommon/testing/seeds.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace ff::testing {
namespace {

TEST(Seeds, FailureIsReportedWithAReplayThatAgrees) {
  const Scenario odd = [](SimWorld& world) -> Result<> {
    world.note(kNoNode, "thinking");
    if (world.rng().below(10) == 3) world.convict("a three");
    return {};
  };
  const SeedRun run = run_seeds("Seeds.X", 1, 1000, odd, {.fixed = true});
  ASSERT_TRUE(run.failed_seed);
  EXPECT_TRUE(run.replayed);
  EXPECT_EQ(run.seeds, *run.failed_seed);
  EXPECT_NE(run.report.find("FF_SIM_SEED=" + std::to_string(*run.failed_seed)), std::string::npos) << run.report;
  EXPECT_NE(run.report.find("--gtest_filter=Seeds.X"), std::string::npos);
  EXPECT_NE(run.report.find("thinking"), std::string::npos);
}

TEST(Seeds, ScenarioThatIsNotDeterministicIsTold) {
  int calls = 0;
  const Scenario fickle = [&calls](SimWorld& world) -> Result<> {
    world.note(kNoNode, std::to_string(++calls));
    return fail(Errc::kInternal, "always");
  };
  const SeedRun run = run_seeds("Seeds.Y", 1, 1, fickle, {.fixed = true});
  EXPECT_FALSE(run.replayed);
  EXPECT_NE(run.report.find("NOT DETERMINISTIC"), std::string::npos);
}

TEST(Seeds, EnvironmentChoosesTheRange) {
  std::vector<std::uint64_t> seen;
  const Scenario count = [&seen](SimWorld& world) -> Result<> {
    seen.push_back(world.seed());
    return {};
  };
  const auto seeds_with = [&](const char* name, const char* value, bool fixed) {
    seen.clear();
    ::setenv(name, value, 1);
    run_seeds("Seeds.Z", 1, 2, count, {.fixed = fixed});
    ::unsetenv(name);
    return seen;
  };
  EXPECT_EQ(seeds_with("FF_SIM_SEED", "77", false), (std::vector<std::uint64_t>{77}));
  EXPECT_EQ(seeds_with("FF_SIM_SEEDS", "3", false), (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(seeds_with("FF_SIM_SEEDS", "50:2", false), (std::vector<std::uint64_t>{50, 51}));
  EXPECT_EQ(seeds_with("FF_SIM_SEEDS", "50:2", true), (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EXIT(seeds_with("FF_SIM_SEEDS", "many", false), ::testing::ExitedWithCode(2), "FF_SIM_SEEDS");
}

}  // namespace
}  // namespace ff::testing
