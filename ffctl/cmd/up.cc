// up, down: a cluster on this machine.
#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>

#include "ffctl/cluster/local_cluster.hpp"
#include "ffctl/cluster/local_ffs.hpp"
#include "ffctl/cluster/local_folder.hpp"
#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/draining.hpp"
#include "ffctl/cmd/hosts.hpp"
#include "ffctl/cmd/text.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Cell;
using report::Format;
using runtime::Task;

namespace {

constexpr auto kPoll = 50ms;
constexpr auto kStopPatience = 10s;
constexpr auto kFfsStopPatience = 20s;  // it gives its processes 15 s
constexpr auto kFfsPatience = 1s;
constexpr std::int64_t kNodesDefault = 4, kFakeGpusDefault = 8;

struct Options {
  cli::OutputOptions output;
  std::string folder, policy, file;
  std::vector<std::string> limit;
  bool local = false, fake_gpus = false, dry_run = false, no_ffs = false, purge = false, yes = false, force = false;
  std::int64_t nodes = 0, gpus = -1;
  cli::Duration within = 30s, grace = 60s, min_run = 5s;
};

Result<MasterTarget> target_of(const std::string& folder, runtime::Duration patience) {
  FF_TRY_ASSIGN(net::Address address, net::parse_address("unix:" + local_socket(folder)));
  MasterTarget target;
  target.masters.push_back({{std::move(address)}});
  target.first_patience = patience;
  return target;
}

// What is asked for, beside what is there.
Result<LocalPlan> plan_of(const Options& o, const std::string& folder) {
  const auto there = load_plan(folder);
  if (!there && there.error().code() != Errc::kNotFound) return fail(there.error());
  LocalPlan plan = there.value_or(LocalPlan{.folder = folder});
  if (o.nodes != 0) plan.nodes = static_cast<std::uint32_t>(o.nodes);
  if (plan.nodes == 0) plan.nodes = kNodesDefault;
  if (o.fake_gpus) plan.fake_gpus = true;
  if (o.gpus >= 0) plan.gpus_per_node = static_cast<std::uint32_t>(o.gpus);
  if (!there) {
    if (o.fake_gpus && o.gpus < 0) plan.gpus_per_node = kFakeGpusDefault;
    plan.policy = o.policy;
    plan.min_run = exact_duration(o.min_run);
    plan.ffs_processes = o.no_ffs ? 0 : std::min(plan.nodes, kLocalFfsProcessesMax);
  }
  if (there && o.no_ffs && there->ffs_processes != 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("--no-ffs: {} has a file system already (`ffctl down --purge` first)", folder));
  if (plan.gpus_per_node != 0 && !plan.fake_gpus && plan.nodes > 1)
    return fail(
        Errc::kInvalidArgument,
        "--gpus-per-node: several nodes of one machine cannot have the same GPUs (give --fake-gpus, or --nodes 1)");
  if (there && plan.nodes < there->nodes)
    return fail(Errc::kInvalidArgument,
                fmt::format("--nodes: {} has {} nodes already (`ffctl down --purge` first)", folder, there->nodes));
  if (there && (plan.gpus_per_node != there->gpus_per_node || plan.fake_gpus != there->fake_gpus))
    return fail(Errc::kInvalidArgument,
                fmt::format("--gpus-per-node: the nodes of {} have {}{} (`ffctl down --purge` first)", folder,
                            there->gpus_per_node, there->fake_gpus ? " pretended" : ""));
  return plan;
}

Result<> still_run(const std::vector<DaemonCommand>& commands) {
  for (const DaemonCommand& one : commands)
    if (!running(one.pid_file))
      return fail(Errc::kInternal,
                  fmt::format("{}: has ended: {} (see {})", one.name, log_tail(one.log_file), one.log_file));
  return {};
}

// Until all nodes have reported since `started_ms`; those that `down` has drained are there again.
Task<Result<int>> wait_ready(MasterSession& master, const LocalPlan& plan, const std::vector<DaemonCommand>& commands,
                             std::uint64_t started_ms, runtime::Duration within) {
  const runtime::Time until = runtime::saturating_add(master.env().now(), within);
  for (;;) {
    auto reply = co_await master.ask(&MasterClient::list_nodes, ListNodesRequest());
    if (!reply) {
      if (reply.error().code() != Errc::kUnavailable || master.env().now() >= until)
        co_return fail(std::move(reply).error());
      FF_CO_TRY(still_run(commands));
      FF_CO_TRY(co_await runtime::sleep(kPoll));
      continue;
    }
    std::set<std::string> ready;
    std::vector<std::string> drained;
    for (const NodeInfo& node : reply->nodes()) {
      if (node.state() == NodeInfo::LOST || node.last_report_ms() < started_ms) continue;
      ready.insert(node.facts().name());
      if (node.draining() && node.drain_reason() == kDownReason) drained.push_back(node.facts().name());
    }
    std::uint32_t there = 0;
    for (std::uint32_t i = 0; i < plan.nodes; ++i) there += ready.contains(node_name(i)) ? 1 : 0;
    if (there == plan.nodes) {
      FF_CO_TRY(co_await undrain(master, std::move(drained)));
      co_return cli::kExitOk;
    }
    FF_CO_TRY(still_run(commands));
    if (master.env().now() >= until)
      co_return fail(Errc::kTimeout, fmt::format("{} of {} nodes have reported within {} (see the logs in {}/nodes)",
                                                 there, plan.nodes, format_duration(within), plan.folder));
    FF_CO_TRY(co_await runtime::sleep(kPoll));
  }
}

// Until all chains of the file system are whole.
Result<> wait_ffs(const LocalPlan& plan, const DaemonCommand& command, Deadline deadline) {
  for (;;) {
    FF_TRY(still_run({command}));
    const auto state = ffs_state(local_ffs_folder(plan.folder), kFfsPatience);
    if (state && *state == "healthy") return {};
    if (deadline.expired())
      return fail(Errc::kTimeout, fmt::format("ffs: is not healthy in time: {} (see {})",
                                              state ? *state : state.error().message(), command.log_file));
    ::usleep(std::chrono::microseconds(kPoll).count());
  }
}

HostsOptions hosts_options(const Options& o) {
  return {
      .file = o.file, .limit = o.limit, .within = o.within, .grace = o.grace, .dry_run = o.dry_run, .force = o.force};
}

Result<int> up(const Options& o) {
  FF_TRY_ASSIGN(const Format format, o.output.format());
  if (!o.file.empty()) {
    if (o.local || o.nodes != 0 || o.gpus >= 0 || o.fake_gpus || o.no_ffs || !o.policy.empty() || !o.folder.empty())
      return fail(Errc::kInvalidArgument, "-f: the file says what is brought up (without options of --local)");
    return up_hosts(hosts_options(o), format);
  }
  if (!o.limit.empty()) return fail(Errc::kInvalidArgument, "--limit: is for -f");
  if (!o.local) return fail(Errc::kInvalidArgument, "up: on which machines? (give --local for this one, or -f FILE)");
  FF_TRY_ASSIGN(const std::string folder, local_folder(o.folder));
  std::optional<LocalLock> lock;
  if (!o.dry_run) {
    FF_TRY_ASSIGN(lock, LocalLock::take(folder, true));
  }
  FF_TRY_ASSIGN(const LocalPlan plan, plan_of(o, folder));
  FF_TRY_ASSIGN(const std::vector<DaemonCommand> commands, daemon_commands(plan));
  report::Table table("ff.up/1", {{.key = "daemon", .title = "DAEMON"},
                                  {.key = "state", .title = "STATE"},
                                  {.key = "pid", .title = "PID"},
                                  {.key = "log", .title = "LOG"},
                                  {.key = "command", .title = "COMMAND", .wide_only = true}});
  table.set_header("folder", folder);
  table.set_header("socket", local_socket(folder));
  if (!o.dry_run) FF_TRY(prepare(plan));
  bool any_started = false;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto begun = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
  for (const DaemonCommand& one : commands) {
    std::optional<pid_t> pid = running(one.pid_file);
    const bool ran = pid.has_value();
    if (!ran && !o.dry_run) {
      any_started = true;
      FF_TRY_ASSIGN(pid, start_daemon(one));
    }
    std::string words;
    for (const std::string& word : one.words) words += (words.empty() ? "" : " ") + word;
    const char* const state = ran ? "runs" : o.dry_run ? "would start" : "started";
    table.add_row({one.name, std::string(state), pid ? Cell(std::int64_t{*pid}) : Cell(), one.log_file, words});
  }
  if (!o.dry_run) {
    const Deadline deadline = Deadline::after(o.within);
    FF_TRY_ASSIGN(MasterTarget target, target_of(folder, 0ns));
    FF_TRY_ASSIGN(
        const int code,
        with_master(std::move(target), format == Format::kJson, [&] [[clang::coro_wrapper]] (MasterSession & master) {
          return wait_ready(master, plan, commands, any_started ? begun : 0, o.within);
        }));
    if (code != cli::kExitOk) return code;
    if (plan.ffs_processes != 0) FF_TRY(wait_ffs(plan, commands.front(), deadline));
  }
  FF_TRY(print(table.render(format)));
  return cli::kExitOk;
}

Result<bool> confirmed(const Options& o, const std::string& folder) {
  if (o.yes) return true;
  if (::isatty(STDIN_FILENO) == 0)
    return fail(Errc::kInvalidArgument, fmt::format("--purge: deletes {} with all jobs and logs (give --yes)", folder));
  fmt::print(stderr, "ffctl: delete {} with all jobs and logs? [y/N] ", folder);
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

Result<> end_ranks(const std::string& folder) {
  const auto until = std::chrono::steady_clock::now() + kStopPatience;
  for (;;) {
    const std::vector<pid_t> left = ranks_below(folder);
    if (left.empty()) return {};
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    if (std::chrono::steady_clock::now() >= until)
      return fail(Errc::kTimeout, fmt::format("{} processes of jobs, {} among them, live although they were killed",
                                              left.size(), left.front()));
    ::usleep(20'000);
  }
}

Result<int> end_jobs(const Options& o, const LocalPlan& plan) {
  if (running(plan.folder + "/ffctld.pid")) {
    FF_TRY_ASSIGN(MasterTarget target, target_of(plan.folder, kStopPatience));
    return with_master(std::move(target), false, [&](MasterSession& master) -> Task<Result<int>> {
      FF_CO_TRY_ASSIGN(const Left left, co_await empty_nodes(master, o.grace, o.force));
      if (left.jobs.empty()) co_return cli::kExitOk;
      std::string list;
      for (const std::uint64_t job : left.jobs) list += (list.empty() ? "" : ", ") + std::to_string(job);
      cli::report_error(
          "ffctl", Error(Errc::kTimeout, fmt::format("jobs {}: still run (stop them, or give --force)", list)), false);
      co_return kExitWrongPhase;
    });
  }
  if (const std::vector<pid_t> ranks = ranks_below(plan.folder); !ranks.empty() && !o.force) {
    cli::report_error(
        "ffctl",
        Error(Errc::kUnavailable,
              fmt::format("ffctld does not run, and {} processes of jobs do (`ffctl up --local` brings it "
                          "back; --force ends them)",
                          ranks.size())),
        false);
    return kExitWrongPhase;
  }
  return cli::kExitOk;
}

Result<int> down(const Options& o) {
  if (!o.file.empty()) {
    if (o.purge || !o.folder.empty())
      return fail(Errc::kInvalidArgument,
                  "-f: --purge and --dir are for the local cluster (delete folders on the hosts)");
    return down_hosts(hosts_options(o));
  }
  FF_TRY_ASSIGN(const std::string folder, local_folder(o.folder));
  const auto plan = load_plan(folder);
  if (!plan) {
    if (plan.error().code() != Errc::kNotFound) return fail(plan.error());
    fmt::print(stderr, "ffctl: {}: holds no local cluster: nothing to do\n", folder);
    return cli::kExitOk;
  }
  FF_TRY_ASSIGN(const LocalLock lock, LocalLock::take(folder, false));
  if (o.purge) {
    FF_TRY_ASSIGN(const bool sure, confirmed(o, folder));
    if (!sure) return cli::kExitFailed;
  }
  FF_TRY_ASSIGN(const int code, end_jobs(o, *plan));
  if (code != cli::kExitOk) return code;
  std::vector<std::string> pid_files;
  for (std::uint32_t i = 0; i < plan->nodes; ++i) pid_files.push_back(folder + "/nodes/" + node_name(i) + ".pid");
  pid_files.push_back(folder + "/ffctld.pid");
  pid_files.push_back(folder + "/ffs.pid");
  for (const std::string& file : pid_files) {
    FF_TRY_ASSIGN(const bool killed, stop_daemon(file, file.ends_with("/ffs.pid") ? kFfsStopPatience : kStopPatience));
    if (killed) fmt::print(stderr, "ffctl: {}: did not end in order, and was killed\n", file);
  }
  FF_TRY(end_ranks(folder));
  std::error_code error;
  std::filesystem::remove(local_socket(folder), error);
  if (o.purge) {
    std::filesystem::remove_all(folder, error);
    if (error) return fail(errno_error(folder, error.value()));
  }
  return cli::kExitOk;
}

cli::Option folder_option(Options& o) {
  return {.names = "--dir",
          .target = &o.folder,
          .help = "its folder; else FF_LOCAL_DIR, else fire-flyer/local in the user's state folder",
          .value_name = "DIR",
          .complete = "dir"};
}

}  // namespace

cli::Command up_command() {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "up";
  command.summary = "Bring a cluster up";
  command.description =
      "With --local: a master, the agents of several nodes and a file system (FFS, of three copies where there are "
      "three nodes), all on this machine and as this user, with all that they keep below one folder. Jobs find the "
      "file system by FF_CLUSTER: ffs put and fftrain --checkpoint ffs:/runs need no options in them. What runs "
      "already is left as it is and what has ended is started again, so that it "
      "may be repeated; jobs go on where they were. Returns when all nodes have reported and the file system is "
      "healthy.";
  command.options = {
      {.names = "--local", .target = &o.local, .help = "on this machine"},
      {.names = "-f,--file",
       .target = &o.file,
       .help = "the cluster that this file describes, over ssh",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--limit", .target = &o.limit, .help = "of -f: these hosts alone", .value_name = "HOST"},
      {.names = "-N,--nodes",
       .target = &o.nodes,
       .help = "nodes; 0: as many as it has, 4 of a new one",
       .min = 0,
       .max = kLocalNodesMax},
      {.names = "-G,--gpus-per-node",
       .target = &o.gpus,
       .help = "GPUs of each node; -1: as it has, of a new one 0, or 8 with --fake-gpus",
       .min = -1,
       .max = 1024},
      {.names = "--fake-gpus", .target = &o.fake_gpus, .help = "pretend that they are there"},
      {.names = "--min-run",
       .target = &o.min_run,
       .help = "of a new one: time before jobs may be preempted",
       .min = 0,
       .max = 86400 * 30},
      {.names = "--policy",
       .target = &o.policy,
       .help = "of a new one: how jobs are ordered; else slice",
       .choices = {"slice", "easy", "fifo"}},
      {.names = "--no-ffs", .target = &o.no_ffs, .help = "of a new one: without a file system"},
      {.names = "--within", .target = &o.within, .help = "most that it may take", .min = 0.1, .max = 3600},
      {.names = "--dry-run", .target = &o.dry_run, .help = "show what would be started"},
      folder_option(o)};
  o.output.add_to(command);
  command.examples = {{"ffctl up --local --nodes 4 --gpus-per-node 8 --fake-gpus", "a cluster to try things on"},
                      {"ffctl up -f cluster.yaml --dry-run", "what would run on which host"},
                      {"ffctl up --local", "bring it back after `ffctl down`, or after a crash"}};
  command.exit_codes = {{cli::kExitFailed, "a host failed"}, {kExitNoMaster, "it was not ready in time"}};
  command.run = [options]() -> Result<int> { return up(*options); };
  return command;
}

cli::Command down_command() {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "down";
  command.summary = "Bring a cluster down";
  command.description =
      "Jobs that run are asked to save, as when they are preempted, and go on after the next `ffctl up --local`. "
      "Returns when no process of it is left; state and logs stay, unless --purge is given. With --file the cluster of "
      "that file, else the local one.";
  command.options = {
      folder_option(o),
      {.names = "--file",
       .target = &o.file,
       .help = "the cluster that this file describes, over ssh",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--grace", .target = &o.grace, .help = "time that jobs have to end", .min = 0, .max = 86400},
      {.names = "-f,--force", .target = &o.force, .help = "kill jobs at once, for good"},
      {.names = "--purge", .target = &o.purge, .help = "delete its folder, with all jobs, logs and files"},
      {.names = "--yes", .target = &o.yes, .help = "do not ask"}};
  command.examples = {{"ffctl down", "jobs go on later"}, {"ffctl down --force --purge --yes", "nothing stays"}};
  command.exit_codes = {{kExitWrongPhase, "jobs still run"}};
  command.run = [options]() -> Result<int> { return down(*options); };
  return command;
}

}  // namespace ff::ctl
