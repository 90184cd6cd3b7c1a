// A resolved job as the file that gives it again.
#include <fmt/core.h>

#include <array>

#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "ffctl/job/words.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/report/utf8.hpp"
#include "libcommon/report/yaml.hpp"

namespace ff::ctl {
namespace {

using config::Config;
using config::TextMap;
using config::Type;
using config::Value;

class Values {
 public:
  explicit Values(const JobSpec& spec) : values_(job_schema()) {
    set("name", spec.name());
    set("queue", spec.queue());
    set("priority", word_of(spec.priority()));
    const Resources& r = spec.resources();
    number("resources.nodes", r.nodes());
    number("resources.gpus_per_node", r.gpus_per_node());
    number("resources.cpus_per_node", r.cpus_per_node());
    set("resources.memory", std::uint64_t{r.memory_bytes()});
    number("resources.pids", r.pids());
    list("placement.require", spec.placement().require());
    list("placement.exclude", spec.placement().exclude());
    list("placement.only", spec.placement().only());
    const RunSpec& run = spec.run();
    set("run.workdir", run.workdir());
    set("run.env", TextMap(run.environment().begin(), run.environment().end()));
    set("run.launcher", word_of(run.launcher()));
    if (run.launcher() != PER_NODE) number("run.ranks_per_node", run.ranks_per_node());
    list("run.command", run.command());
    set("run.script", run.script());
    const TimeSpec& t = spec.time();
    time("time.limit", t.limit_ms());
    time("time.estimate", t.estimate_ms());
    if (t.begin_ms() != 0) set("time.begin", format_when(t.begin_ms()));
    time("time.no_output", t.no_output_ms());
    time("time.no_progress", t.no_progress_ms());
    const PreemptionSpec& p = spec.preemption();
    set("preemption.mode", word_of(p.mode()));
    time("preemption.grace", p.grace_ms());
    time("preemption.max_grace", p.max_grace_ms());
    time("preemption.min_run", p.min_run_ms());
    number("preemption.budget", p.budget());
    rest(spec);
  }
  const Config& config() const { return values_; }

 private:
  void set(std::string_view key, Value value) {
    values_.set(*job_schema().find(key), std::move(value), {config::Source::kFlag, "job"});
  }
  void number(std::string_view key, std::uint32_t value) { set(key, static_cast<std::int64_t>(value)); }
  void time(std::string_view key, std::uint64_t ms) {
    set(key, std::chrono::nanoseconds(std::chrono::milliseconds(static_cast<std::int64_t>(ms))));
  }
  template <class List>
  void list(std::string_view key, const List& items) {
    set(key, std::vector<std::string>(items.begin(), items.end()));
  }

  void rest(const JobSpec& spec) {
    std::vector<std::string> on, depends;
    for (const int one : spec.retry().on()) on.push_back(word_of(static_cast<RetryOn>(one)));
    set("retry.on", on);
    number("retry.max", spec.retry().max());
    time("retry.backoff", spec.retry().backoff_ms());
    for (const Dependency& one : spec.depends())
      depends.push_back(fmt::format("{}:{}", word_of(one.condition()), one.job()));
    set("depends", depends);
    set("labels", TextMap(spec.labels().begin(), spec.labels().end()));
    set("hold", spec.hold());
    set("checkpoint", spec.checkpoint());
  }

  Config values_{job_schema()};
};

// Whether "|" gives the same text again: lines without what YAML reads as something else, and one line end at the end.
bool fits_block(std::string_view text) {
  if (!text.starts_with("#!") || !text.ends_with('\n') || text.ends_with("\n\n")) return false;
  for (std::size_t at = 0; at < text.size();) {
    const report::CodePoint point = report::decode_utf8(text, at);
    const bool control = point.value < 0x20 && point.value != '\n' && point.value != '\t';
    if (!point.valid || control || point.value == 0x7f || point.value > 0x7e) return false;
    at += point.bytes;
  }
  return true;
}

std::string block(std::string_view text, const std::string& indent) {
  std::string out = "|\n";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    if (end != at) out.append(indent).append(text.substr(at, end - at));
    out += '\n';
    at = end + 1;
  }
  return out;
}

// In the largest unit that gives it exactly: 3630m.
std::string duration(std::chrono::nanoseconds time) {
  static constexpr auto kUnits = std::to_array<std::pair<std::int64_t, const char*>>({{86'400'000'000'000, "d"},
                                                                                      {3'600'000'000'000, "h"},
                                                                                      {60'000'000'000, "m"},
                                                                                      {1'000'000'000, "s"},
                                                                                      {1'000'000, "ms"},
                                                                                      {1000, "us"}});
  for (const auto& [length, unit] : kUnits)
    if (time.count() != 0 && time.count() % length == 0) return fmt::format("{}{}", time.count() / length, unit);
  return time.count() == 0 ? "0" : fmt::format("{}ns", time.count());
}

std::string scalar(const config::Key& key, const Value& value, const std::string& indent) {
  if (const auto* const time = std::get_if<std::chrono::nanoseconds>(&value)) return duration(*time) + "\n";
  const std::string* const text = std::get_if<std::string>(&value);
  if (text == nullptr) return config::value_text(value) + "\n";
  if (key.name == "run.script" && fits_block(*text)) return block(*text, indent + "  ");
  return report::yaml_string(*text) + "\n";
}

}  // namespace

std::string job_text(const Config& values) {
  const Config otherwise(job_schema());
  std::string out = "ffjob: 1\n", group;
  for (const config::Key& key : job_schema().keys()) {
    const Value& value = values.value_of(key.name);
    if (value == otherwise.value_of(key.name)) continue;
    const std::size_t dot = key.name.find('.');
    std::string indent;
    if (dot != std::string::npos) {
      indent = "  ";
      if (key.name.substr(0, dot) != group) out += key.name.substr(0, dot) + ":\n";
    }
    group = dot == std::string::npos ? "" : key.name.substr(0, dot);
    out += indent + key.name.substr(dot == std::string::npos ? 0 : dot + 1) + ":";
    if (const auto* items = std::get_if<std::vector<std::string>>(&value)) {
      if (items->empty()) out += " []";
      out += "\n";
      for (const std::string& item : *items) out += indent + "  - " + report::yaml_string(item) + "\n";
    } else if (const auto* map = std::get_if<TextMap>(&value)) {
      if (map->empty()) out += " {}";
      out += "\n";
      for (const auto& [name, text] : *map)
        out += indent + "  " + report::yaml_string(name) + ": " + report::yaml_string(text) + "\n";
    } else {
      out += " " + scalar(key, value, indent);
    }
  }
  return out;
}

std::string describe_job(const JobSpec& spec) { return job_text(Values(spec).config()); }

}  // namespace ff::ctl
