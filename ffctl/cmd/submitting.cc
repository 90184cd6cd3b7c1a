#include "ffctl/cmd/submitting.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "ffctl/cmd/text.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::ctl {

namespace {

const std::vector<std::string> kLaunchers = {"per-node", "per-rank", "torchrun"};
const std::vector<std::string> kModes = {"checkpoint", "kill", "never"};
const std::vector<std::string> kRetries = {"none", "node-fail", "watchdog", "nonzero-exit", "requeue-exit"};

std::uint64_t ms(cli::Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

int place_of(const std::vector<std::string>& list, const std::string& word) {
  return static_cast<int>(std::ranges::find(list, word) - list.begin());
}

// "2026-11-23T04:11:22Z", or a duration from now.
Result<std::uint64_t> parse_begin(const std::string& text) {
  std::tm parts{};
  if (const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts); end != nullptr && *end == '\0')
    return static_cast<std::uint64_t>(::timegm(&parts)) * 1000;
  const auto wait = parse_duration(text);
  if (!wait)
    return fail(Errc::kInvalidArgument,
                fmt::format("--begin: '{}': is no time (write 2026-11-23T04:00:00Z, or 2h from now)", text));
  return static_cast<std::uint64_t>(std::time(nullptr)) * 1000 + ms(*wait);
}

Result<Dependency> parse_dependency(const std::string& text) {
  const std::size_t colon = text.find(':');
  Dependency out;
  const std::string word = text.substr(0, colon);
  for (int i = 1; i < Dependency::Condition_descriptor()->value_count(); ++i) {
    const auto* const value = Dependency::Condition_descriptor()->value(i);
    if (lower_name(value->name()) == lower_name(word))
      out.set_condition(static_cast<Dependency::Condition>(value->number()));
  }
  std::uint64_t job = 0;
  bool good = colon != std::string::npos && out.condition() != Dependency::CONDITION_NONE;
  if (good) {
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + colon + 1, end, job);
    good = error == std::errc() && stopped == end && job != 0;
  }
  if (!good)
    return fail(Errc::kInvalidArgument,
                fmt::format("--depends: '{}': is no dependency (write after-ok:17; after-not-ok, after-any and "
                            "after-start are there too)",
                            text));
  out.set_job(job);
  return out;
}

// A name that the master takes, of the program's.
std::string name_of(const std::string& program) {
  std::string name;
  for (const char c : std::filesystem::path(program).filename().string()) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    name += plain ? c : '_';
  }
  return name.empty() ? "job" : name.substr(0, 255);
}

}  // namespace

void JobOptions::add_to(cli::Command& command) {
  command.trailing = &command_;
  command.trailing_name = "CMD [ARG…]";
  const auto add = [&](cli::Option option) { command.options.push_back(std::move(option)); };
  add({.names = "-J,--name", .target = &name_, .help = "of the job; else that of the program", .value_name = "NAME"});
  add({.names = "-q,--queue", .target = &queue_, .help = "queue", .value_name = "QUEUE"});
  add({.names = "-p,--priority",
       .target = &priority_,
       .help = "jobs of higher ones go first, and may preempt this one",
       .choices = priority_words()});
  add({.names = "-N,--nodes",
       .target = &nodes_,
       .help = "nodes; more than one are whole nodes",
       .min = 1,
       .max = 100000});
  add({.names = "-G,--gpus-per-node", .target = &gpus_, .help = "GPUs on each node", .min = 0, .max = 1024});
  add({.names = "--cpus-per-node",
       .target = &cpus_,
       .help = "CPUs on each node; 0: with the GPUs, or all",
       .min = 0,
       .max = 65536});
  add({.names = "--memory", .target = &memory_, .help = "memory on each node; 0: no limit"});
  add({.names = "--pids",
       .target = &pids_,
       .help = "processes and threads on each node; 0: no limit",
       .min = 0,
       .max = 4194304});
  add({.names = "--launcher",
       .target = &launcher_,
       .help = "one process a node, one a rank with its rank's environment, or as torchrun is started",
       .choices = kLaunchers});
  add({.names = "-R,--ranks-per-node",
       .target = &ranks_,
       .help = "ranks on each node; more than 1: per-rank",
       .min = 1,
       .max = 1024});
  add({.names = "-C,--workdir",
       .target = &workdir_,
       .help = "folder to start in; else this one",
       .value_name = "DIR",
       .complete = "dir"});
  add({.names = "-e,--env",
       .target = &environment_,
       .help = "variable of its environment; without a value, this shell's; may be given several times",
       .value_name = "NAME[=VALUE]"});
  add({.names = "-l,--label",
       .target = &labels_,
       .help = "label of the job; may be given several times",
       .value_name = "KEY[=VALUE]"});
  add({.names = "--require",
       .target = &require_,
       .help = "label that its nodes have; may be given several times",
       .value_name = "LABEL"});
  add({.names = "--exclude",
       .target = &exclude_,
       .help = "node not to use; may be given several times",
       .value_name = "NODE"});
  add({.names = "--only",
       .target = &only_,
       .help = "node to choose from; may be given several times",
       .value_name = "NODE"});
  add({.names = "-t,--limit", .target = &limit_, .help = "most that it may run; 0: no limit", .min = 0});
  add({.names = "--estimate",
       .target = &estimate_,
       .help = "how long it will run, for the queue's forecasts; 0: unknown",
       .min = 0});
  add({.names = "--begin",
       .target = &begin_,
       .help = "start not before this time, or after this long",
       .value_name = "TIME"});
  add({.names = "--no-output",
       .target = &no_output_,
       .help = "end it when no rank prints a line for so long; 0: never",
       .min = 0});
  add({.names = "--no-progress",
       .target = &no_progress_,
       .help = "end it when no rank publishes a step for so long; 0: never",
       .min = 0});
  add({.names = "--preemption",
       .target = &preemption_,
       .help = "checkpoint: it saves, exits and goes on later; kill: starts anew; never",
       .choices = kModes});
  add({.names = "--grace", .target = &grace_, .help = "time to end in when it is told to", .min = 0});
  add({.names = "--max-grace", .target = &max_grace_, .help = "the same while it says that it saves", .min = 0});
  add({.names = "--min-run", .target = &min_run_, .help = "is not preempted before it has run so long", .min = 0});
  add({.names = "--budget", .target = &budget_, .help = "preemptions a day; 0: any number", .min = 0, .max = 1000000});
  add({.names = "--retry",
       .target = &retry_,
       .help = "what it is started again after; may be given several times",
       .choices = kRetries});
  add({.names = "--retries", .target = &retries_, .help = "how often", .min = 0, .max = 1000000});
  add({.names = "--backoff", .target = &backoff_, .help = "time before it is started again", .min = 0});
  add({.names = "-d,--depends",
       .target = &depends_,
       .help = "start after-ok, after-not-ok, after-any or after-start of a job; may be given several times",
       .value_name = "WHEN:JOB"});
  add({.names = "-H,--hold", .target = &hold_, .help = "do not start it before `ffctl release`"});
  add({.names = "--checkpoint",
       .target = &checkpoint_,
       .help = "folder that it saves to; FF_CHECKPOINT_DIR",
       .value_name = "DIR",
       .complete = "dir"});
}

bool JobOptions::untouched() const { return all() == JobOptions().all(); }

Result<> JobOptions::set_run(JobSpec& spec) const {
  RunSpec& run = *spec.mutable_run();
  if (command_.empty())
    return fail(Errc::kInvalidArgument, "command: is missing (write it after --, as in: -- python train.py)");
  for (const std::string& word : command_) run.add_command(word);
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::absolute(workdir_.empty() ? "." : workdir_, error);
  if (error) return fail(Errc::kInvalidArgument, fmt::format("--workdir: {}: {}", workdir_, error.message()));
  std::string path = folder.lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  run.set_workdir(std::move(path));
  for (const std::string& one : environment_) {
    const std::size_t equals = one.find('=');
    const std::string name = one.substr(0, equals);
    if (name.empty()) return fail(Errc::kInvalidArgument, fmt::format("--env: '{}': has no name", one));
    if (equals != std::string::npos) {
      (*run.mutable_environment())[name] = one.substr(equals + 1);
    } else if (const char* const value = std::getenv(name.c_str()); value != nullptr) {
      (*run.mutable_environment())[name] = value;
    } else {
      return fail(Errc::kInvalidArgument, fmt::format("--env: {}: is not set here (write {}=VALUE)", name, name));
    }
  }
  int launcher = place_of(kLaunchers, launcher_) + 1;
  if (ranks_ > 1 && launcher == PER_NODE) launcher = PER_RANK;
  run.set_launcher(static_cast<Launcher>(launcher));
  run.set_ranks_per_node(static_cast<std::uint32_t>(ranks_));
  spec.set_name(name_.empty() ? name_of(command_.front()) : name_);
  return {};
}

Result<> JobOptions::set_time(JobSpec& spec) const {
  TimeSpec& time = *spec.mutable_time();
  time.set_limit_ms(ms(limit_));
  time.set_estimate_ms(ms(estimate_));
  time.set_no_output_ms(ms(no_output_));
  time.set_no_progress_ms(ms(no_progress_));
  if (!begin_.empty()) {
    FF_TRY_ASSIGN(const std::uint64_t begin, parse_begin(begin_));
    time.set_begin_ms(begin);
  }
  PreemptionSpec& preemption = *spec.mutable_preemption();
  preemption.set_mode(static_cast<PreemptionSpec::Mode>(place_of(kModes, preemption_) + 1));
  preemption.set_grace_ms(ms(grace_));
  preemption.set_max_grace_ms(ms(std::max(grace_, max_grace_)));
  preemption.set_min_run_ms(ms(min_run_));
  preemption.set_budget(static_cast<std::uint32_t>(budget_));
  return {};
}

Result<> JobOptions::set_again(JobSpec& spec) const {
  RetrySpec& retry = *spec.mutable_retry();
  for (const std::string& one : retry_) {
    const int place = place_of(kRetries, one);
    if (place != 0) retry.add_on(static_cast<RetryOn>(place));
  }
  retry.set_max(static_cast<std::uint32_t>(retries_));
  retry.set_backoff_ms(ms(backoff_));
  for (const std::string& one : depends_) {
    FF_TRY_ASSIGN(*spec.add_depends(), parse_dependency(one));
  }
  return {};
}

Result<JobSpec> JobOptions::spec() const {
  JobSpec spec;
  FF_TRY(set_run(spec));
  FF_TRY(set_time(spec));
  FF_TRY(set_again(spec));
  spec.set_queue(queue_);
  FF_TRY_ASSIGN(const Priority priority, parse_priority(priority_));
  spec.set_priority(priority);
  Resources& resources = *spec.mutable_resources();
  resources.set_nodes(static_cast<std::uint32_t>(nodes_));
  resources.set_gpus_per_node(static_cast<std::uint32_t>(gpus_));
  resources.set_cpus_per_node(static_cast<std::uint32_t>(cpus_));
  resources.set_memory_bytes(memory_.bytes);
  resources.set_pids(static_cast<std::uint32_t>(pids_));
  for (const std::string& one : require_) spec.mutable_placement()->add_require(one);
  for (const std::string& one : exclude_) spec.mutable_placement()->add_exclude(one);
  for (const std::string& one : only_) spec.mutable_placement()->add_only(one);
  for (const std::string& one : labels_) {
    const std::size_t equals = one.find('=');
    if (equals == 0 || one.empty()) return fail(Errc::kInvalidArgument, fmt::format("--label: '{}': has no key", one));
    (*spec.mutable_labels())[one.substr(0, equals)] = equals == std::string::npos ? "" : one.substr(equals + 1);
  }
  spec.set_hold(hold_);
  spec.set_checkpoint(checkpoint_);
  return spec;
}

}  // namespace ff::ctl
