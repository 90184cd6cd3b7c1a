#include "ffctl/slurm/batch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "ffctl/slurm/comment.hpp"
#include "ffctl/slurm/quoting.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000;
constexpr std::uint64_t kNiceMost = 2'000'000'000;

bool plain_name(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, plain);
}

bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

Error wrong(std::string what) { return {Errc::kInvalidArgument, std::move(what)}; }

Error missing(std::string_view key, std::string_view why) {
  return wrong(fmt::format("{}: is not carried by executor slurm: {} (leave it out)", key, why));
}

std::uint32_t ranks_on_node(const JobSpec& spec) {
  return spec.run().launcher() == PER_RANK ? std::max(spec.run().ranks_per_node(), 1u) : 1;
}
std::uint32_t rank_total(const JobSpec& spec) { return std::max(spec.resources().nodes(), 1u) * ranks_on_node(spec); }

Result<> check_words(const JobSpec& spec) {
  const RunSpec& run = spec.run();
  if (!plain_name(spec.name())) return fail(wrong("name: is not [A-Za-z0-9._-]{1,255}"));
  if (!spec.queue().empty() && !plain_name(spec.queue())) return fail(wrong("queue: is not [A-Za-z0-9._-]{1,255}"));
  if (run.command().empty() && run.script().empty()) return fail(wrong("run.command: is empty"));
  if (!run.command().empty() && run.command(0).empty()) return fail(wrong("run.command: its first word is empty"));
  for (const std::string& word : run.command())
    if (holds_nul(word)) return fail(wrong("run.command: has a zero byte"));
  if (run.workdir().empty() || run.workdir()[0] != '/' || holds_nul(run.workdir()))
    return fail(wrong("run.workdir: is not an absolute path"));
  for (const auto& [key, value] : run.environment())
    if (key.empty() || key.contains('=') || holds_nul(key) || holds_nul(value))
      return fail(wrong("run.environment: has a name or value that no environment can hold"));
  // env(1) may be between.
  if (run.script().empty() && run.command(0).contains('='))
    return fail(wrong("run.command: its first word has '=' (executor slurm starts programs by env)"));
  for (const auto* list : {&spec.placement().require(), &spec.placement().exclude(), &spec.placement().only()})
    for (const std::string& one : *list)
      if (!plain_name(one)) return fail(wrong(fmt::format("placement: '{}': is not [A-Za-z0-9._-]{{1,255}}", one)));
  if (holds_nul(spec.checkpoint())) return fail(wrong("checkpoint.dir: has a zero byte"));
  return {};
}

std::string joined(const auto& list, const char* between) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : between) + fmt::format("{}", one);
  return out;
}

std::string dependencies(const JobSpec& spec, std::uint64_t after_any) {
  std::vector<std::string> parts;
  for (const Dependency& one : spec.depends()) {
    const char* const kind = one.condition() == Dependency::AFTER_OK       ? "afterok"
                             : one.condition() == Dependency::AFTER_NOT_OK ? "afternotok"
                             : one.condition() == Dependency::AFTER_START  ? "after"
                                                                           : "afterany";
    parts.push_back(fmt::format("{}:{}", kind, std::uint64_t{one.job()}));
  }
  if (after_any != 0) parts.push_back(fmt::format("afterany:{}", after_any));
  return joined(parts, ",");
}

bool retries(const JobSpec& spec, RetryOn on) {
  return std::ranges::find(spec.retry().on(), static_cast<int>(on)) != spec.retry().on().end();
}

void add_place(std::vector<std::string>& words, const JobSpec& spec) {
  const Resources& wants = spec.resources();
  const std::uint32_t ranks = ranks_on_node(spec);
  words.push_back(fmt::format("--nodes={}", wants.nodes()));
  words.push_back(fmt::format("--ntasks-per-node={}", ranks));
  if (wants.gpus_per_node() != 0) words.push_back(fmt::format("--gres=gpu:{}", wants.gpus_per_node()));
  if (wants.cpus_per_node() != 0)
    words.push_back(fmt::format("--cpus-per-task={}", (wants.cpus_per_node() + ranks - 1) / ranks));
  // More than one node are whole nodes, and so is one of which no part was asked for.
  if (wants.nodes() > 1 || (wants.cpus_per_node() == 0 && wants.gpus_per_node() == 0)) words.push_back("--exclusive");
  if (wants.memory_bytes() != 0)
    words.push_back(fmt::format("--mem={}M", (wants.memory_bytes() + (1u << 20) - 1) >> 20));
  if (!spec.placement().require().empty()) words.push_back("--constraint=" + joined(spec.placement().require(), "&"));
  if (!spec.placement().exclude().empty()) words.push_back("--exclude=" + joined(spec.placement().exclude(), ","));
  if (!spec.placement().only().empty()) words.push_back("--nodelist=" + joined(spec.placement().only(), ","));
}

void add_priority(std::vector<std::string>& words, const JobSpec& spec, const SlurmSettings& settings) {
  if (const auto qos = settings.qos.find(priority_word(spec.priority())); qos != settings.qos.end()) {
    words.push_back("--qos=" + qos->second);
    return;
  }
  const std::int64_t nice = (NORMAL - spec.priority()) * settings.nice_step;
  if (nice != 0)
    words.push_back(fmt::format("--nice={}", std::clamp<std::int64_t>(nice, -std::int64_t{kNiceMost}, kNiceMost)));
}

// Lines of bash that set what ffctl says, and which variables those are.
class Script {
 public:
  explicit Script(const JobSpec& spec) : spec_(spec) {}

  // `value`: as bash reads it.
  void put(const std::string& name, std::string_view value) {
    names_.insert(name);
    text_ += fmt::format("export {}={}\n", name, value);
  }
  void line(std::string_view text) { text_.append(text) += '\n'; }
  std::string take() { return std::exchange(text_, {}); }

  // The words of the rank. What the user set goes under what ffctl says, and reaches the rank alone: a PATH of the
  // job's must not choose the srun that starts it.
  // `waited_for`: not by bash itself, which has commands of its own that no agent would find.
  std::string rank_words(const std::string& script_file, bool waited_for) const {
    std::string out;
    for (const auto& [key, value] : spec_.run().environment())
      if (!names_.contains(key)) out += ' ' + bash_word(key + '=' + value);
    if (!out.empty() || waited_for) out = "/usr/bin/env --" + out;
    for (int i = 0; i < std::max(spec_.run().command_size(), 1); ++i)
      out +=
          (out.empty() ? "" : " ") + bash_word(i == 0 && !script_file.empty() ? script_file : spec_.run().command(i));
    return out;
  }

 private:
  const JobSpec& spec_;
  std::set<std::string> names_;
  std::string text_;
};

// What all ranks are given alike; in the batch script, before srun.
void put_common(Script& script, const JobSpec& spec) {
  script.put("FF_JOB", "$SLURM_JOB_ID");
  script.put("FF_JOB_NAME", bash_word(spec.name()));
  script.put("FF_ATTEMPT", "$((${SLURM_RESTART_COUNT:-0} + 1))");
  script.put("FF_NODES", std::to_string(spec.resources().nodes()));
  if (!spec.checkpoint().empty()) script.put("FF_CHECKPOINT_DIR", bash_word(spec.checkpoint()));
  if (spec.array() != 0) {
    if (spec.array() > 1) script.put("FF_ARRAY", std::to_string(spec.array()));
    script.put("FF_ARRAY_INDEX", std::to_string(spec.array_index()));
  }
  if (spec.resources().gpus_per_node() == 0) script.put("CUDA_VISIBLE_DEVICES", "");
  if (spec.resources().nodes() == 1) {
    script.put("FF_NODE_LIST", "$SLURM_JOB_NODELIST");
    script.put("MASTER_ADDR", "127.0.0.1");
  } else {
    script.put("FF_NODE_LIST", "$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | paste -sd, -)");
  }
  // Below the ports that kernels give out by themselves.
  script.put("MASTER_PORT", "$((20000 + SLURM_JOB_ID % 12000))");
  if (spec.run().launcher() == PER_RANK) script.put("HFR_TOKEN", "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')");
}

// What a rank is told of itself, and where it prints; runs in each of them.
void put_rank(Script& script, const JobSpec& spec, const SlurmSettings& settings) {
  const std::string nodes = std::to_string(spec.resources().nodes()), ranks = std::to_string(rank_total(spec));
  const std::string per_node = std::to_string(std::max(spec.run().ranks_per_node(), 1u));
  const Launcher launcher = spec.run().launcher();
  if (spec.resources().nodes() > 1) script.put("MASTER_ADDR", "${SLURM_LAUNCH_NODE_IPADDR:-${FF_NODE_LIST%%,*}}");
  script.put("FF_NODE_RANK", "$SLURM_NODEID");
  if (launcher != TORCHRUN) {
    script.put("FF_RANK", "$SLURM_PROCID");
    script.put("FF_RANKS", ranks);
    script.put("FF_LOCAL_RANK", "$SLURM_LOCALID");
  }
  if (launcher == PER_RANK) {
    script.put("RANK", "$SLURM_PROCID");
    script.put("WORLD_SIZE", ranks);
    script.put("LOCAL_RANK", "$SLURM_LOCALID");
    script.put("LOCAL_WORLD_SIZE", per_node);
  } else {
    script.put("NODE_RANK", "$SLURM_NODEID");
    script.put("NNODES", nodes);
    if (launcher == TORCHRUN) script.put("NPROC_PER_NODE", per_node);
  }
  // 125: could not be started, as env(1) and timeout(1) say it.
  script.line(fmt::format("exec </dev/null >>{}/$SLURM_JOB_ID-$FF_ATTEMPT.$SLURM_PROCID.log 2>&1 || exit 125",
                          bash_word(settings.logs)));
  script.line(fmt::format("cd -- {} || exit 125", bash_word(spec.run().workdir())));
}

// How a script of bash waits for what it started. SIGTERM is for the ranks, and bash must live as long as they do.
constexpr std::string_view kTrap = "trap : TERM\n";

std::string end_lines(const JobSpec& spec) {
  return retries(spec, REQUEUE_EXIT) ? "[ $code != 75 ] || scontrol requeue \"$SLURM_JOB_ID\"\nexit $code\n"
                                     : "exit $code\n";
}

// srun returns the largest code of all, those of ranks that were killed for the failed one among them: the first to
// fail leaves its own in a file.
std::string srun_lines(const JobSpec& spec, const SlurmSettings& settings, const std::string& rank,
                       const std::string& words) {
  const std::string file = bash_word(settings.logs) + "/$SLURM_JOB_ID-$FF_ATTEMPT.failed";
  const std::string inner = fmt::format(
      "{}{}\"$@\"\ncode=$?\n[ $code = 0 ] || (set -C; echo \"$SLURM_PROCID $code\" >{}) 2>/dev/null\nexit $code\n",
      rank, kTrap, file);
  const std::uint32_t ranks = ranks_on_node(spec);
  std::string srun = fmt::format(
      "srun --export=ALL --kill-on-bad-exit=1 --mpi=none --distribution=block --input=none --nodes={} --ntasks={} "
      "--ntasks-per-node={}",
      spec.resources().nodes(), rank_total(spec), ranks);
  if (const std::uint32_t cpus = spec.resources().cpus_per_node(); cpus != 0)
    srun += fmt::format(" --cpus-per-task={}", (cpus + ranks - 1) / ranks);
  return fmt::format("{}{} -- /bin/bash -c {} bash {}\ncode=$?\n[ ! -s {} ] || read -r _ code <{}\n", kTrap, srun,
                     bash_word(inner), words, file, file);
}

std::string script_text(const JobSpec& spec, const SlurmSettings& settings, const BatchFacts& facts) {
  Script script(spec);
  put_common(script, spec);
  const std::string common = "#!/bin/bash\n" + script.take();
  put_rank(script, spec, settings);
  const std::string rank = script.take();
  if (rank_total(spec) > 1)
    return common + srun_lines(spec, settings, rank, script.rank_words(facts.script_file, true)) + end_lines(spec);
  if (!retries(spec, REQUEUE_EXIT))
    return common + rank + "exec -- " + script.rank_words(facts.script_file, false) + '\n';
  return fmt::format("{}{}{}{}\ncode=$?\n", common, rank, kTrap, script.rank_words(facts.script_file, true)) +
         end_lines(spec);
}

}  // namespace

Result<> check_carried(const JobSpec& spec) {
  FF_TRY(check_words(spec));
  const TimeSpec& time = spec.time();
  const PreemptionSpec& preemption = spec.preemption();
  if (spec.resources().nodes() < 1) return fail(wrong("resources.nodes: is 0"));
  if (spec.resources().pids() != 0) return fail(missing("resources.pids", "Slurm does not count processes"));
  if (const auto only = spec.placement().only_size();
      only != 0 && static_cast<std::uint32_t>(only) != spec.resources().nodes())
    return fail(
        wrong(fmt::format("placement.only: names {} nodes for a job of {}: executor slurm takes exactly the "
                          "nodes that are named (name so many, or exclude the others)",
                          only, spec.resources().nodes())));
  if (time.estimate_ms() != 0) return fail(missing("time.estimate", "give a limit instead"));
  if (time.no_output_ms() != 0) return fail(missing("time.no_output", "Slurm does not look at what jobs print"));
  if (time.no_progress_ms() != 0) return fail(missing("time.no_progress", "Slurm knows no steps"));
  if (preemption.mode() == PreemptionSpec::NEVER)
    return fail(missing("preemption.mode: never", "who is preempted is for the site's partitions to say"));
  if (preemption.min_run_ms() != 0) return fail(missing("preemption.min_run", "it is PreemptExemptTime of the site"));
  if (preemption.budget() != 0) return fail(missing("preemption.budget", "Slurm does not count preemptions"));
  if (preemption.grace_ms() != 60'000 || preemption.max_grace_ms() != 300'000)
    return fail(missing("preemption.grace", "the time from SIGTERM to SIGKILL is KillWait of the site"));
  for (const int on : spec.retry().on())
    if (on != NODE_FAIL && on != REQUEUE_EXIT)
      return fail(missing("retry.on", "Slurm starts jobs again after lost nodes, and when they ask for it"));
  for (const Dependency& one : spec.depends())
    if (one.job() > UINT32_MAX)
      return fail(Errc::kNotFound, fmt::format("depends: job {}: is not known", std::uint64_t{one.job()}));
  return {};
}

Result<BatchPlan> batch_plan(const JobSpec& spec, const SlurmSettings& settings, const BatchFacts& facts) {
  BatchPlan plan;
  std::vector<std::string>& words = plan.words;
  FF_TRY_ASSIGN(const std::string comment, encode_comment(spec));
  words = {"--parsable",
           "--export=ALL",
           "--open-mode=append",
           "--input=/dev/null",
           "--job-name=" + spec.name(),
           "--comment=" + comment,
           "--output=" + settings.logs + "/%j.out",
           "--chdir=/"};
  const std::string partition = spec.queue().empty() || spec.queue() == "default" ? settings.partition : spec.queue();
  if (!partition.empty()) words.push_back("--partition=" + partition);
  add_place(words, spec);
  add_priority(words, spec, settings);
  if (const std::uint64_t limit = spec.time().limit_ms(); limit != 0)
    words.push_back(fmt::format("--time={}", (limit + kMinuteMs - 1) / kMinuteMs));
  if (const std::uint64_t begin = spec.time().begin_ms(); begin > facts.now_ms)
    words.push_back(fmt::format("--begin=now+{}", (begin - facts.now_ms + 999) / 1000));
  if (const std::string after = dependencies(spec, facts.after_any); !after.empty()) {
    words.push_back("--dependency=" + after);
    words.push_back("--kill-on-invalid-dep=yes");
  }
  if (spec.hold()) words.push_back("--hold");
  // Preempted jobs are requeued where the site's PreemptMode says so; both modes that are carried want that.
  words.push_back(retries(spec, NODE_FAIL) || retries(spec, REQUEUE_EXIT) ||
                          spec.preemption().mode() == PreemptionSpec::CHECKPOINT
                      ? "--requeue"
                      : "--no-requeue");
  plan.script = script_text(spec, settings, facts);
  return plan;
}

std::string rank_log(const SlurmSettings& settings, std::uint64_t job, std::uint32_t attempt, std::uint32_t rank) {
  return fmt::format("{}/{}-{}.{}.log", settings.logs, job, attempt, rank);
}

std::string failed_file(const SlurmSettings& settings, std::uint64_t job, std::uint32_t attempt) {
  return fmt::format("{}/{}-{}.failed", settings.logs, job, attempt);
}

std::string start_log(const SlurmSettings& settings, std::uint64_t job) {
  return fmt::format("{}/{}.out", settings.logs, job);
}

}  // namespace ff::ctl
