#include "ffctl/job/spec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "ffctl/job/schema.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/cli/suggestion.hpp"
#include "libcommon/config/loader.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {
namespace {

using std::chrono::nanoseconds;

constexpr std::array<std::string_view, 8> kPriorities = {"",     "idle",      "low",    "normal", "above-normal",
                                                         "high", "very-high", "extreme"};
constexpr std::array<std::pair<std::string_view, Dependency::Condition>, 4> kConditions = {
    {{"after_ok", Dependency::AFTER_OK},
     {"after_not_ok", Dependency::AFTER_NOT_OK},
     {"after_any", Dependency::AFTER_ANY},
     {"after_start", Dependency::AFTER_START}}};
constexpr std::size_t kDependenciesMax = 256;  // the master takes no more

bool plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  });
}

// A part of a second counts as a whole millisecond: a limit is never shorter than asked for, nor zero by rounding.
std::uint64_t ms(nanoseconds time) { return (static_cast<std::uint64_t>(time.count()) + 999'999) / 1'000'000; }

class Resolver {
 public:
  Resolver(const config::Config& values, const ResolveContext& context) : values_(values), context_(context) {}

  Result<JobSpec> run() {
    spec_.set_queue(text("queue"));
    if (!plain_name(spec_.queue())) return refuse("queue", "is not [A-Za-z0-9._-]{1,255}");
    FF_TRY_ASSIGN(const Priority priority, parse_priority(text("priority")));
    spec_.set_priority(priority);
    resources();
    FF_TRY(placement());
    FF_TRY(program());
    FF_TRY(times());
    preemption();
    retry();
    FF_TRY(rest());
    if (const std::size_t bytes = spec_.ByteSizeLong(); bytes > kJobBytesMax)
      return fail(Errc::kExhausted,
                  fmt::format("job {}: its description takes {} bytes, at most {} are taken (put scripts and data into "
                              "files)",
                              spec_.name(), bytes, kJobBytesMax));
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
  std::unexpected<Error> refuse(std::string_view key, std::string_view what) const {
    const config::Origin& origin = values_.origin_of(key);
    const std::string place = origin.source == config::Source::kDefault ? "" : origin.place + ": ";
    return fail(Errc::kInvalidArgument, fmt::format("{}{}: {}", place, key, what));
  }
  Result<> clean(std::string_view key, std::string_view value) const {
    if (value.find('\0') != std::string_view::npos) return refuse(key, "has a zero byte");
    for (std::size_t at = 0; at < value.size();) {
      const report::CodePoint point = report::decode_utf8(value, at);
      if (!point.valid) return refuse(key, fmt::format("byte {} is no UTF-8 text", at));
      at += point.bytes;
    }
    return {};
  }

  void resources() {
    Resources& out = *spec_.mutable_resources();
    out.set_nodes(number("resources.nodes"));
    out.set_gpus_per_node(number("resources.gpus_per_node"));
    out.set_cpus_per_node(number("resources.cpus_per_node"));
    out.set_memory_bytes(values_.get<std::uint64_t>("resources.memory"));
    out.set_pids(number("resources.pids"));
  }

  Result<> placement() {
    Placement& out = *spec_.mutable_placement();
    for (const std::string& label : list("placement.require")) {
      FF_TRY(clean("placement.require", label));
      if (label.empty()) return refuse("placement.require", "has an empty label");
      out.add_require(label);
    }
    for (const std::string_view key : {"placement.exclude", "placement.only"}) {
      for (const std::string& node : list(key)) {
        if (!plain_name(node)) return refuse(key, fmt::format("'{}' is no name of a node", node));
        *(key == "placement.only" ? out.add_only() : out.add_exclude()) = node;
      }
    }
    if (out.only_size() != 0 && static_cast<std::uint32_t>(out.only_size()) < spec_.resources().nodes())
      return refuse("placement.only",
                    fmt::format("names {} nodes, and the job asks for {}", out.only_size(), spec_.resources().nodes()));
    for (const std::string& node : out.only()) {
      if (std::ranges::find(out.exclude(), node) != out.exclude().end())
        return refuse("placement.only", fmt::format("'{}' is excluded as well", node));
    }
    return {};
  }

  Result<> program() {
    RunSpec& out = *spec_.mutable_run();
    for (const std::string& word : list("run.command")) {
      FF_TRY(clean("run.command", word));
      out.add_command(word);
    }
    FF_TRY(clean("run.script", text("run.script")));
    out.set_script(text("run.script"));
    if (out.command().empty() && out.script().empty())
      return refuse("run.command", "is empty (say what to run: a list in the file, or words after --)");
    if (!out.command().empty() && out.command(0).empty()) return refuse("run.command", "its first word is empty");
    if (!out.script().empty() && !is_script(out.script()))
      return refuse("run.script", "does not begin with '#!' and the path of an interpreter");
    if (out.command().empty()) out.add_command("script");
    out.set_workdir(text("run.workdir").empty() ? context_.folder : text("run.workdir"));
    FF_TRY(clean("run.workdir", out.workdir()));
    if (!out.workdir().starts_with('/'))
      return refuse("run.workdir", fmt::format("'{}' is not absolute (nodes have other folders)", out.workdir()));
    for (const auto& [name, value] : values_.get<config::TextMap>("run.env")) {
      FF_TRY(clean("run.env", name));
      FF_TRY(clean("run.env", value));
      if (name.empty() || name.find('=') != std::string::npos)
        return refuse("run.env", fmt::format("'{}' cannot be the name of a variable", name));
      (*out.mutable_environment())[name] = value;
    }
    const std::string& launcher = text("run.launcher");
    out.set_launcher(launcher == "per-node" ? PER_NODE : launcher == "per-rank" ? PER_RANK : TORCHRUN);
    const std::uint32_t ranks = number("run.ranks_per_node");
    if (out.launcher() == PER_NODE && ranks > 1)
      return refuse("run.ranks_per_node", "more than one need run.launcher: per-rank or torchrun");
    const bool one = out.launcher() == PER_NODE;
    out.set_ranks_per_node(ranks != 0 ? ranks : one ? 1 : std::max(spec_.resources().gpus_per_node(), 1u));
    spec_.set_name(text("name").empty() ? name_of_command(out) : text("name"));
    if (!plain_name(spec_.name())) return refuse("name", "is not [A-Za-z0-9._-]{1,255}");
    return {};
  }

  Result<> times() {
    TimeSpec& out = *spec_.mutable_time();
    out.set_limit_ms(time("time.limit"));
    out.set_estimate_ms(time("time.estimate"));
    out.set_no_output_ms(time("time.no_output"));
    out.set_no_progress_ms(time("time.no_progress"));
    if (out.limit_ms() != 0 && out.estimate_ms() > out.limit_ms())
      return refuse("time.estimate", "is longer than time.limit");
    if (!text("time.begin").empty()) {
      const auto when = parse_when(text("time.begin"), context_.now_ms);
      if (!when) return refuse("time.begin", when.error().message());
      out.set_begin_ms(*when);
    }
    return {};
  }

  void preemption() {
    PreemptionSpec& out = *spec_.mutable_preemption();
    const std::string& mode = text("preemption.mode");
    out.set_mode(mode == "checkpoint" ? PreemptionSpec::CHECKPOINT
                 : mode == "kill"     ? PreemptionSpec::KILL
                                      : PreemptionSpec::NEVER);
    out.set_grace_ms(time("preemption.grace"));
    out.set_max_grace_ms(std::max(time("preemption.max_grace"), out.grace_ms()));
    out.set_min_run_ms(time("preemption.min_run"));
    out.set_budget(number("preemption.budget"));
  }

  void retry() {
    RetrySpec& out = *spec_.mutable_retry();
    for (const std::string& on : list("retry.on")) {
      const RetryOn one = on == "node_fail"      ? NODE_FAIL
                          : on == "watchdog"     ? ON_WATCHDOG
                          : on == "nonzero_exit" ? NONZERO_EXIT
                                                 : REQUEUE_EXIT;
      if (std::ranges::find(out.on(), one) == out.on().end()) out.add_on(one);
    }
    out.set_max(number("retry.max"));
    out.set_backoff_ms(time("retry.backoff"));
  }

  Result<> rest() {
    if (list("depends").size() > kDependenciesMax)
      return refuse("depends", fmt::format("{} are more than {}", list("depends").size(), kDependenciesMax));
    for (const std::string& one : list("depends")) {
      auto parsed = parse_dependency(one);
      if (!parsed) return refuse("depends", parsed.error().message());
      *spec_.add_depends() = *parsed;
    }
    for (const auto& [name, value] : values_.get<config::TextMap>("labels")) {
      FF_TRY(clean("labels", name));
      FF_TRY(clean("labels", value));
      if (name.empty() || name.find('=') != std::string::npos || name.size() > 255 || value.size() > 4096)
        return refuse("labels", fmt::format("'{}' cannot be the name of a label", name));
      (*spec_.mutable_labels())[name] = value;
    }
    spec_.set_hold(values_.get<bool>("hold"));
    spec_.set_checkpoint(text("checkpoint"));
    return clean("checkpoint", spec_.checkpoint());
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

// `count` digits from `at` on.
Result<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  const char* const end = text.data() + std::min(text.size(), at + count);
  if (text.size() < at + count) return fail(Errc::kInvalidArgument, "");
  const auto [stop, code] = std::from_chars(text.data() + at, end, value);
  if (code != std::errc() || stop != end || value < 0) return fail(Errc::kInvalidArgument, "");
  return value;
}

Result<std::uint64_t> parse_iso(std::string_view text) {
  FF_TRY_ASSIGN(const int year, digits(text, 0, 4));
  FF_TRY_ASSIGN(const int month, digits(text, 5, 2));
  FF_TRY_ASSIGN(const int day, digits(text, 8, 2));
  FF_TRY_ASSIGN(const int hour, digits(text, 11, 2));
  FF_TRY_ASSIGN(const int minute, digits(text, 14, 2));
  FF_TRY_ASSIGN(const int second, digits(text, 17, 2));
  const bool marks = text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' && text[16] == ':';
  std::string_view rest = text.substr(19);
  int millis = 0;
  if (rest.size() == 5 && rest[0] == '.') {
    FF_TRY_ASSIGN(millis, digits(rest, 1, 3));
    rest.remove_prefix(4);
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!marks || rest != "Z" || !date.ok() || year < 1970 || hour > 23 || minute > 59 || second > 59)
    return fail(Errc::kInvalidArgument, "");
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((static_cast<std::uint64_t>(days) * 24 + static_cast<std::uint64_t>(hour)) * 3600 +
          static_cast<std::uint64_t>(minute) * 60 + static_cast<std::uint64_t>(second)) *
             1000 +
         static_cast<std::uint64_t>(millis);
}

}  // namespace

bool is_script(std::string_view text) noexcept { return text.starts_with("#!"); }

Result<> read_job_text(config::Config& values, std::string_view text, const std::string& file) {
  if (text.size() > kJobFileBytesMax)
    return fail(Errc::kExhausted, fmt::format("{}: is longer than {} bytes", file, kJobFileBytesMax));
  if (text.find('\0') != std::string_view::npos)
    return fail(Errc::kInvalidArgument, file + ": has zero bytes: it is no text");
  return config::load_text(values, text, file);
}

Result<> read_script(config::Config& values, std::string_view text, const std::string& file) {
  if (text.size() > kJobBytesMax)
    return fail(Errc::kExhausted, fmt::format("{}: takes {} bytes, at most {} are taken (submit a command that runs a "
                                              "file which all nodes see)",
                                              file, text.size(), kJobBytesMax));
  if (text.find('\0') != std::string_view::npos)
    return fail(Errc::kInvalidArgument, file + ": has zero bytes: it is no text");
  bool head = true;
  std::size_t number = 0;
  std::vector<std::string> seen;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool comment = line.starts_with('#') || line.find_first_not_of(" \t") == std::string_view::npos;
    head = head && comment;
    if (line != "#FF" && !line.starts_with("#FF ") && !line.starts_with("#FF\t")) continue;
    const std::string place = fmt::format("{}:{}", file, number);
    const auto wrong = [&](std::string_view what) {
      return fail(Errc::kInvalidArgument, fmt::format("{}: {}", place, what));
    };
    if (!head) return wrong("an #FF line after the first command is not read (move it up)");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("is not '#FF key: value'");
    const auto trimmed = [](std::string_view part) {
      const std::size_t first = part.find_first_not_of(" \t");
      if (first == std::string_view::npos) return std::string_view();
      return part.substr(first, part.find_last_not_of(" \t") - first + 1);
    };
    const std::string key(trimmed(line.substr(3, colon - 3)));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (key == "run.script" || key == "run.command") return wrong(key + ": is this script");
    if (std::ranges::find(seen, key) != seen.end()) return wrong(key + ": given twice");
    seen.push_back(key);
    FF_TRY(values.set_flag(key, value, place));
  }
  FF_TRY(values.set_flag("run.script", text, file));
  const std::string name(base_name(file));
  values.set(*job_schema().find("run.command"), std::vector<std::string>{name.empty() || name == "-" ? "script" : name},
             {config::Source::kFlag, file});
  return {};
}

Result<JobSpec> resolve_job(const config::Config& values, const ResolveContext& context) {
  return Resolver(values, context).run();
}

std::string_view priority_name(Priority priority) noexcept {
  const auto index = static_cast<std::size_t>(priority);
  return index < kPriorities.size() ? kPriorities[index] : "";
}

Result<Priority> parse_priority(std::string_view text) {
  const auto* const found = std::ranges::find(kPriorities, text);
  if (found != kPriorities.end() && !text.empty()) return static_cast<Priority>(found - kPriorities.begin());
  const std::vector<std::string> names(kPriorities.begin() + 1, kPriorities.end());
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is no priority{} (from idle, low, normal, above-normal, high, very-high to extreme)",
                          text, cli::did_you_mean(text, names)));
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
  std::string condition(text.substr(0, colon));
  std::ranges::replace(condition, '-', '_');
  Dependency out;
  for (const auto& [name, value] : kConditions)
    if (name == condition) out.set_condition(value);
  std::uint64_t job = 0;
  const char* const end = text.data() + text.size();
  if (colon != std::string_view::npos) {
    const auto [stop, code] = std::from_chars(text.data() + colon + 1, end, job);
    if (stop != end || code != std::errc()) job = 0;
  }
  if (out.condition() == Dependency::CONDITION_NONE || job == 0)
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is not after_ok:JOB, after_not_ok:JOB, after_any:JOB or "
                                                    "after_start:JOB with the number of a job",
                                                    text));
  out.set_job(job);
  return out;
}

Result<std::uint64_t> parse_when(std::string_view text, std::uint64_t now_ms) {
  if (text.starts_with('+')) {
    FF_TRY_ASSIGN(const nanoseconds after, parse_duration(text.substr(1)));
    return now_ms + ms(after);
  }
  if (auto when = parse_iso(text)) return when;
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is no time (write 2026-12-31T08:00:00Z, or +2h for two hours from now)", text));
}

std::string format_when(std::uint64_t unix_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> time{milliseconds(static_cast<std::int64_t>(unix_ms))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                clock.hours().count(), clock.minutes().count(), clock.seconds().count());
  if (clock.subseconds().count() != 0) out += fmt::format(".{:03}", clock.subseconds().count());
  return out + "Z";
}

}  // namespace ff::ctl
