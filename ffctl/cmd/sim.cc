#include "ffctl/cmd/sim.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <memory>

#include "ffctl/sim/replay.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::ctl {
namespace {

using namespace std::chrono_literals;
using sched::Kind;
using sched::Ms;

constexpr std::size_t kTraceBytesMax = std::size_t{1} << 30;
constexpr std::array<std::pair<std::string_view, Kind>, 3> kPolicies = {
    {{"fifo", Kind::kFifo}, {"easy", Kind::kEasy}, {"slice", Kind::kSlice}}};

struct Options {
  std::string trace;
  std::int64_t generate = 0;
  double load = 0;
  std::int64_t seed = 1;
  std::int64_t nodes = 64;
  std::int64_t gpus_per_node = 8;
  std::int64_t pool = 0;
  std::vector<std::string> policies;
  cli::Duration switch_cost = 120s;
  cli::Duration tick = 60s;
  cli::Duration min_run = 15min;
  cli::Duration level_service = 8h;
  std::int64_t levels = sched::Policy().levels;
  bool groups = false;
  cli::OutputOptions output;
};

Ms ms(cli::Duration duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

Result<std::vector<sim::TraceJob>> jobs_of(const Options& options, std::int64_t gpus) {
  if (options.generate == 0) {
    if (options.trace.empty())
      return fail(Errc::kInvalidArgument, "no trace (give a CSV file, or --generate with a number of jobs)");
    FF_TRY_ASSIGN(const std::string text, read_file(options.trace, kTraceBytesMax));
    return sim::parse_trace(text, options.trace);
  }
  if (!options.trace.empty())
    return fail(Errc::kInvalidArgument, "--generate: a trace is given as well (give one of them)");
  return sim::generate_trace({.jobs = static_cast<std::uint64_t>(options.generate),
                              .gpu_load = options.load > 0 ? options.load : static_cast<double>(gpus),
                              .gpus_max = static_cast<std::uint32_t>(std::min<std::int64_t>(gpus, 128)),
                              .seed = static_cast<std::uint64_t>(options.seed)});
}

report::Table table_of() {
  using report::Unit;
  return report::Table("ff.sim/1",
                       {{.key = "policy", .title = "POLICY"},
                        {.key = "wait_mean_ns", .title = "WAIT", .unit = Unit::kNanoseconds},
                        {.key = "wait_p50_ns", .title = "P50", .unit = Unit::kNanoseconds},
                        {.key = "wait_p95_ns", .title = "P95", .unit = Unit::kNanoseconds},
                        {.key = "wait_large_ns", .title = "8+ GPUS WAIT", .unit = Unit::kNanoseconds},
                        {.key = "completion_mean_ns", .title = "COMPLETION", .unit = Unit::kNanoseconds},
                        {.key = "completion_large_ns", .title = "8+ GPUS COMPLETION", .unit = Unit::kNanoseconds},
                        {.key = "slowdown_mean", .title = "SLOWDOWN"},
                        {.key = "preemptions", .title = "PREEMPTIONS"},
                        {.key = "occupancy_percent", .title = "OCCUPANCY", .unit = Unit::kPercent},
                        {.key = "goodput_percent", .title = "GOODPUT", .unit = Unit::kPercent},
                        {.key = "jobs", .title = "JOBS", .wide_only = true},
                        {.key = "never", .title = "TOO LARGE", .wide_only = true},
                        {.key = "passes", .title = "PASSES", .wide_only = true},
                        {.key = "end_ns", .title = "END", .unit = Unit::kNanoseconds, .wide_only = true}});
}

void add_row(report::Table& table, const std::string& policy, const sim::ReplayResult& r) {
  const auto time = [](double seconds) { return report::Cell(static_cast<std::int64_t>(seconds * 1e9)); };
  const auto count = [](std::uint64_t n) { return report::Cell(static_cast<std::int64_t>(n)); };
  table.add_row({policy, time(r.wait_mean_s), time(r.wait_p50_s), time(r.wait_p95_s), time(r.wait_large_mean_s),
                 time(r.completion_mean_s), time(r.completion_large_mean_s), r.slowdown_mean, count(r.preemptions),
                 r.occupancy * 100, r.goodput * 100, count(r.jobs), count(r.never), count(r.passes), time(r.end_s)});
}

Result<int> run(const Options& options) {
  FF_TRY_ASSIGN(const report::Format format, options.output.format());
  sim::ReplayOptions replay;
  replay.nodes = static_cast<std::uint32_t>(options.pool > 0 ? options.pool : options.nodes);
  replay.gpus_per_node = options.pool > 0 ? 1 : static_cast<std::uint32_t>(options.gpus_per_node);
  if (options.pool > 0) replay.nodes_per_leaf = replay.nodes;
  replay.switch_cost = ms(options.switch_cost);
  replay.tick = ms(options.tick);
  replay.groups_are_users = options.groups;
  const std::int64_t gpus = std::int64_t{replay.nodes} * replay.gpus_per_node;
  FF_TRY_ASSIGN(const std::vector<sim::TraceJob> jobs, jobs_of(options, gpus));
  report::Table table = table_of();
  table.set_header("gpus", gpus);
  table.set_header("gpus_per_node", std::int64_t{replay.gpus_per_node});
  table.set_header("switch_cost_ns", std::int64_t{options.switch_cost.count()});
  for (const auto& [name, kind] : kPolicies) {
    if (!options.policies.empty() && std::ranges::find(options.policies, name) == options.policies.end()) continue;
    replay.policy = {.kind = kind,
                     .level_service = ms(options.level_service),
                     .levels = static_cast<std::uint32_t>(options.levels),
                     .min_run = ms(options.min_run)};
    add_row(table, std::string(name), sim::replay(jobs, replay));
  }
  fmt::print("{}", table.render(format));
  return cli::kExitOk;
}

}  // namespace

cli::Command sim_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command{
      .name = "sim",
      .summary = "Replay a trace of jobs through the scheduler and compare policies",
      .description =
          "Runs the scheduler that ffctld runs, over jobs that were or that a generator makes, in simulated time, and "
          "prints waits to the first start, completion times, bounded slowdown (600 s), preemptions, and the shares of "
          "GPU "
          "time that was held and that was useful. Running times are known to the scheduler. A preempted job loses no "
          "work, but holds its nodes for the switch cost, half of it while it saves and half while it loads.\n\n"
          "The trace is CSV whose first line names the columns: submit_s, duration_s and gpus must be there, job_id "
          "and "
          "vc may be, others are passed over."};
  command.options = {
      {.names = "trace",
       .target = &options->trace,
       .help = "CSV file with the jobs",
       .value_name = "TRACE",
       .complete = "file"},
      {.names = "--generate",
       .target = &options->generate,
       .help = "jobs to make instead, like those of the Philly trace",
       .value_name = "N",
       .min = 0,
       .max = 10'000'000},
      {.names = "--load",
       .target = &options->load,
       .help = "GPUs that the generated jobs want on average; 0: all",
       .value_name = "GPUS",
       .min = 0,
       .max = 1e9},
      {.names = "--seed", .target = &options->seed, .help = "of the generator", .min = 0},
      {.names = "--nodes", .target = &options->nodes, .help = "nodes of the cluster", .min = 1, .max = 1'000'000},
      {.names = "--gpus-per-node",
       .target = &options->gpus_per_node,
       .help = "GPUs of a node",
       .min = 1,
       .max = sched::kGpusMax},
      {.names = "--pool",
       .target = &options->pool,
       .help = "one pool of so many GPUs without nodes; 0: none",
       .value_name = "GPUS",
       .min = 0,
       .max = 1'000'000},
      {.names = "--policy",
       .target = &options->policies,
       .help = "policy to replay; may be given several times (default: all)",
       .choices = {"fifo", "easy", "slice"}},
      {.names = "--switch-cost",
       .target = &options->switch_cost,
       .help = "node time that a preemption costs",
       .min = 0,
       .max = 1e6},
      {.names = "--tick",
       .target = &options->tick,
       .help = "time between passes of the scheduler",
       .min = 0.001,
       .max = 1e6},
      {.names = "--min-run",
       .target = &options->min_run,
       .help = "a job runs for so long before it is preempted (slice)",
       .min = 0,
       .max = 1e8},
      {.names = "--level-service",
       .target = &options->level_service,
       .help = "GPU time after which a job falls to the second level (slice)",
       .min = 0.001,
       .max = 1e8},
      {.names = "--levels", .target = &options->levels, .help = "levels of service (slice)", .min = 1, .max = 16},
      {.names = "--groups-as-users",
       .target = &options->groups,
       .help = "take the column vc for users, with fair shares (slice); else each job has its own"},
  };
  options->output.add_to(command);
  command.examples = {{"ffctl sim --generate 5000 --nodes 32", "compare the policies on 256 GPUs"},
                      {"ffctl sim jobs.csv --pool 512 --policy slice --json", "one policy on one pool, for a program"}};
  command.run = [options] { return run(*options); };
  return command;
}

}  // namespace ff::ctl
