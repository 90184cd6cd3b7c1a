// run_seeds(): one scenario in many worlds, one for each seed, until one is convicted.
//
//   const SeedRun run = run_seeds("Lock.IsExclusive", 1, 1000, scenario);
//   EXPECT_TRUE(run.ok()) << run.report;
//
// Failure      The failing seed runs again, with the log kept: the report has the verdict, the command that replays it
//              and the last lines of the log. If the two runs differ the report says so: then the scenario, or the
//              code under test, is not deterministic, which is a failure of its own.
// Environment  FF_SIM_SEED=n runs that seed only; FF_SIM_LOG=1 prints its whole log to standard error as it happens.
//              FF_SIM_SEEDS=count or first:count replaces the test's own range (soak runs), unless `fixed`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "libcommon/testing/sim_world.hpp"

namespace ff::testing {

// Builds nodes, runs them, checks. An error, or a world that was convicted, is a verdict. Everything must come from
// the world and its seed.
using Scenario = std::function<Result<>(SimWorld&)>;

struct SeedOptions {
  WorldOptions world;
  bool fixed = false;             // FF_SIM_SEEDS does not apply: for a test that counts seeds
  std::size_t report_lines = 60;  // of the log
};

struct SeedRun {
  std::uint64_t seeds = 0;   // run
  std::uint64_t events = 0;  // in all of them
  std::optional<std::uint64_t> failed_seed;
  std::optional<Error> verdict;
  bool replayed = true;  // the failing seed failed again, event for event
  std::string report;    // empty when ok
  bool ok() const noexcept { return !failed_seed; }
};

// `name` is the test's full name, for the replay command.
SeedRun run_seeds(const std::string& name, std::uint64_t first, std::uint64_t count, const Scenario& scenario,
                  const SeedOptions& options = {});

struct SeedTrace {
  Result<> verdict;
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  std::string log;
};
// One world.
SeedTrace run_seed(std::uint64_t seed, const Scenario& scenario, const WorldOptions& options = {});

}  // namespace ff::testing
