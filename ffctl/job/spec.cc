#include "ffctl/job/spec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "ffctl/job/check.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/words.hpp"

namespace ff::ctl {
namespace {

using std::chrono::nanoseconds;

// A part of a second counts as a whole millisecond: a limit is never shorter than asked for, nor zero by rounding.
std::uint64_t ms(nanoseconds time) { return (static_cast<std::uint64_t>(time.count()) + 999'999) / 1'000'000; }

class Resolver {
 public:
  Resolver(const config::Config& values, const ResolveContext& context) : values_(values), context_(context) {}

  Result<JobSpec> run() {
    spec_.set_queue(text("queue"));
    spec_.set_priority(word<Priority>("priority"));
    resources();
    placement();
    FF_TRY(program());
    FF_TRY(times());
    preemption();
    FF_TRY(retry());
    FF_TRY(rest());
    if (const auto fault = check_spec(spec_)) return refuse(fault->key, fault->what);
    return std::move(spec_);
  }

 private:
  const std::string& text(std::string_view key) const { return values_.get<std::string>(key); }
  std::uint32_t number(std::string_view key) const {
    return static_cast<std::uint32_t>(values_.get<std::int64_t>(key));
  }
  const std::vector<std::string>& list(std::string_view key) const {
    return values_.get<std::vector<std::string>>(key);
  }
  std::uint64_t time(std::string_view key) const { return ms(values_.get<nanoseconds>(key)); }
  // REQUIRES: the schema has the enum's words as choices.
  template <class Enum>
  Enum word(std::string_view key) const {
    return *parse_word<Enum>(text(key), key);
  }
  std::unexpected<Error> refuse(std::string_view key, std::string_view what) const {
    if (!job_schema().find(key)) return fail(Errc::kInvalidArgument, fmt::format("{}: {}", key, what));
    const config::Origin& origin = values_.origin_of(key);
    // An option says it all; a file's line, or --set, needs the key.
    if (origin.place.contains("option '")) return fail(Errc::kInvalidArgument, origin.place + ": " + std::string(what));
    const std::string place = origin.source == config::Source::kDefault ? "" : origin.place + ": ";
    return fail(Errc::kInvalidArgument, fmt::format("{}{}: {}", place, key, what));
  }

  void resources() {
    Resources& out = *spec_.mutable_resources();
    out.set_nodes(number("resources.nodes"));
    out.set_gpus_per_node(number("resources.gpus_per_node"));
    out.set_cpus_per_node(number("resources.cpus_per_node"));
    out.set_memory_bytes(values_.get<std::uint64_t>("resources.memory"));
    out.set_pids(number("resources.pids"));
  }

  void placement() {
    Placement& out = *spec_.mutable_placement();
    for (const std::string& one : list("placement.require")) out.add_require(one);
    for (const std::string& one : list("placement.exclude")) out.add_exclude(one);
    for (const std::string& one : list("placement.only")) out.add_only(one);
  }

  Result<> program() {
    RunSpec& out = *spec_.mutable_run();
    for (const std::string& one : list("run.command")) out.add_command(one);
    out.set_script(text("run.script"));
    if (out.command().empty() && !out.script().empty()) out.add_command("script");
    out.set_workdir(text("run.workdir").empty() ? context_.folder : text("run.workdir"));
    for (const auto& [name, value] : values_.get<config::TextMap>("run.env"))
      (*out.mutable_environment())[name] = value;
    const std::uint32_t ranks = number("run.ranks_per_node");
    out.set_launcher(word<Launcher>("run.launcher"));
    // Ranks are asked for: then somebody must start them.
    if (ranks > 1 && values_.origin_of("run.launcher").source == config::Source::kDefault) out.set_launcher(PER_RANK);
    const bool one = out.launcher() == PER_NODE;
    out.set_ranks_per_node(ranks != 0 ? ranks : one ? 1 : std::max(spec_.resources().gpus_per_node(), 1u));
    spec_.set_name(text("name").empty() ? name_of_command(out) : text("name"));
    return {};
  }

  Result<> times() {
    TimeSpec& out = *spec_.mutable_time();
    out.set_limit_ms(time("time.limit"));
    out.set_estimate_ms(time("time.estimate"));
    out.set_no_output_ms(time("time.no_output"));
    out.set_no_progress_ms(time("time.no_progress"));
    if (!text("time.begin").empty()) {
      const auto when = parse_when(text("time.begin"), context_.now_ms);
      if (!when) return refuse("time.begin", when.error().message());
      out.set_begin_ms(*when);
    }
    return {};
  }

  void preemption() {
    PreemptionSpec& out = *spec_.mutable_preemption();
    out.set_mode(word<PreemptionSpec::Mode>("preemption.mode"));
    out.set_grace_ms(time("preemption.grace"));
    out.set_max_grace_ms(std::max(time("preemption.max_grace"), out.grace_ms()));
    out.set_min_run_ms(time("preemption.min_run"));
    out.set_budget(number("preemption.budget"));
  }

  Result<> retry() {
    RetrySpec& out = *spec_.mutable_retry();
    for (const std::string& on : list("retry.on")) {
      if (on == "none") {
        if (list("retry.on").size() != 1) return refuse("retry.on", "'none' stands beside other words");
        continue;
      }
      FF_TRY_ASSIGN(const auto one, parse_word<RetryOn>(on, "cause"));
      if (std::ranges::find(out.on(), one) == out.on().end()) out.add_on(one);
    }
    out.set_max(number("retry.max"));
    out.set_backoff_ms(time("retry.backoff"));
    return {};
  }

  Result<> rest() {
    for (const std::string& one : list("depends")) {
      auto parsed = parse_dependency(one);
      if (!parsed) return refuse("depends", parsed.error().message());
      *spec_.add_depends() = *parsed;
    }
    for (const auto& [name, value] : values_.get<config::TextMap>("labels")) (*spec_.mutable_labels())[name] = value;
    spec_.set_hold(values_.get<bool>("hold"));
    spec_.set_checkpoint(text("checkpoint"));
    return {};
  }

  const config::Config& values_;
  const ResolveContext& context_;
  JobSpec spec_;
};

std::string_view base_name(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

bool runs_others(std::string_view program) {
  for (const std::string_view one : {"python", "bash", "sh", "env", "torchrun", "perl", "ruby", "node", "uv"}) {
    if (program == one || (one == "python" && program.starts_with(one))) return true;
  }
  return false;
}

}  // namespace

Result<JobSpec> resolve_job(const config::Config& values, const ResolveContext& context) {
  return Resolver(values, context).run();
}

std::string name_of_command(const RunSpec& run) {
  std::string_view word = run.command().empty() ? std::string_view("script") : std::string_view(run.command(0));
  if (run.script().empty() && runs_others(base_name(word))) {
    for (int i = 1; i < run.command_size(); ++i) {
      const std::string& next = run.command(i);
      if (next.starts_with('-') || next.find('.') == std::string::npos) continue;
      word = next;
      break;
    }
  }
  word = base_name(word);
  if (const std::size_t dot = word.find_last_of('.'); dot != std::string_view::npos && dot > 0)
    word = word.substr(0, dot);
  std::string name;
  for (const char c : word.substr(0, 64)) name += plain_name({&c, 1}) ? c : '-';
  return name.empty() ? "job" : name;
}

Result<Dependency> parse_dependency(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto condition = parse_word<Dependency::Condition>(text.substr(0, colon), "condition");
  std::uint64_t job = 0;
  if (colon != std::string_view::npos) {
    const char* const end = text.data() + text.size();
    const auto [stop, code] = std::from_chars(text.data() + colon + 1, end, job);
    if (stop != end || code != std::errc()) job = 0;
  }
  if (!condition || job == 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}' is no dependency (write after-ok:17; after-not-ok, after-any and after-start are "
                            "there too)",
                            text));
  Dependency out;
  out.set_condition(*condition);
  out.set_job(job);
  return out;
}

}  // namespace ff::ctl
