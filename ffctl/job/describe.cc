// A resolved job as the file that gives it again.
#include <fmt/core.h>

#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "ffctl/job/words.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
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

std::string scalar(const config::Key& key, const Value& value) {
  if (key.type == Type::kText || key.type == Type::kChoice) return report::yaml_string(std::get<std::string>(value));
  return config::value_text(value);
}

}  // namespace

std::string describe_job(const JobSpec& spec) {
  const Values values(spec);
  const Config otherwise(job_schema());
  std::string out = "ffjob: 1\n", group;
  for (const config::Key& key : job_schema().keys()) {
    const Value& value = values.config().value_of(key.name);
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
      out += "\n";
      for (const auto& [name, text] : *map)
        out += indent + "  " + report::yaml_string(name) + ": " + report::yaml_string(text) + "\n";
    } else {
      out += " " + scalar(key, value) + "\n";
    }
  }
  return out;
}

}  // namespace ff::ctl
