#include "ffctl/job/schema.hpp"

#include <cmath>

#include "ffctl/job/words.hpp"
#include "libcommon/report/json.hpp"

namespace ff::ctl {
namespace {

using config::Key;
using config::Type;
using report::JsonWriter;

constexpr double kTenYears = 10.0 * 366 * 24 * 3600;

Key duration(std::string name, std::string otherwise, std::string help) {
  return {.name = std::move(name),
          .type = Type::kDuration,
          .otherwise = std::move(otherwise),
          .help = std::move(help),
          .min = 0,
          .max = kTenYears};
}

Key count(std::string name, std::string otherwise, std::string help, std::string unit, double least, double most) {
  return {.name = std::move(name),
          .type = Type::kInteger,
          .otherwise = std::move(otherwise),
          .help = std::move(help),
          .unit = std::move(unit),
          .min = least,
          .max = most};
}

Key list(std::string name, std::string help) {
  return {.name = std::move(name), .type = Type::kTextList, .otherwise = "", .help = std::move(help)};
}

Key text(std::string name, std::string otherwise, std::string help) {
  return {.name = std::move(name), .type = Type::kText, .otherwise = std::move(otherwise), .help = std::move(help)};
}

std::vector<std::string> retry_words() {
  std::vector<std::string> words = {"none"};
  words.insert(words.end(), words_of<RetryOn>().begin(), words_of<RetryOn>().end());
  return words;
}

std::vector<Key> keys() {
  return {
      count("ffjob", "1", "version of this format", "", 1, 1),
      text("name", "", "of the job: letters, digits, '.', '_' and '-'; empty: from the command"),
      text("queue", "default", "in which it waits"),
      {.name = "priority",
       .type = Type::kChoice,
       .otherwise = "normal",
       .help = "higher ones start first and may preempt lower ones",
       .choices = words_of<Priority>()},
      count("resources.nodes", "1", "how many; with more than one they are whole nodes", "nodes", 1, 100'000),
      count("resources.gpus_per_node", "0", "GPUs of each node; 0: none", "GPUs", 0, 1024),
      count("resources.cpus_per_node", "0", "logical CPUs of each node; 0: in proportion to the GPUs, or all of them",
            "CPUs", 0, 65536),
      {.name = "resources.memory",
       .type = Type::kSize,
       .otherwise = "0",
       .help = "most memory on each node; 0: no limit",
       .min = 0},
      count("resources.pids", "0", "most processes on each node; 0: no limit", "processes", 0, 4194304),
      list("placement.require", "labels that a node must have"),
      list("placement.exclude", "names of nodes that are not used"),
      list("placement.only", "names of the nodes that may be used; empty: any"),
      text("run.workdir", "", "folder in which it runs, absolute; empty: that of the caller"),
      {.name = "run.env", .type = Type::kTextMap, .otherwise = "", .help = "variables of its environment"},
      {.name = "run.launcher",
       .type = Type::kChoice,
       .otherwise = "per-node",
       .help = "one process a node; one a rank, with the environment of hfreduce run; or one a node, as torchrun is "
               "started",
       .choices = words_of<Launcher>()},
      count("run.ranks_per_node", "0",
            "processes on each node, with more than one per-rank unless said; 0: by the launcher, one or one a GPU",
            "ranks", 0, 1024),
      list("run.command", "program and its arguments; no shell reads them"),
      text("run.script", "", "text of a program that begins with '#!'; run.command holds its name and arguments"),
      duration("time.limit", "0", "running time, all attempts together; 0: no limit"),
      duration("time.estimate", "0", "running time that is expected: lets it start earlier in a gap; 0: unknown"),
      text("time.begin", "", "not before: 2026-12-31T08:00:00Z, or 2h from now"),
      duration("time.no_output", "0", "ends the attempt when no rank has written a line for so long; 0: never"),
      duration("time.no_progress", "0", "ends the attempt when no rank has told a new step for so long; 0: never"),
      {.name = "preemption.mode",
       .type = Type::kChoice,
       .otherwise = "checkpoint",
       .help = "told to save and leave, and goes on later; ended, and begun again if it may be retried; or left alone",
       .choices = words_of<PreemptionSpec::Mode>()},
      duration("preemption.grace", "60s", "from the notice to the kill"),
      duration("preemption.max_grace", "5m", "the same while it says that it saves"),
      duration("preemption.min_run", "0", "it is not preempted before it has run so long"),
      count("preemption.budget", "0", "how often a day; 0: as often as need be", "preemptions", 0, 1'000'000),
      {.name = "retry.on",
       .type = Type::kTextList,
       .otherwise = "node-fail,requeue-exit",
       .help = "after what it is started again; requeue-exit: exit code 75; none: after nothing",
       .choices = retry_words()},
      // Of a job that runs for weeks on many nodes, some fail; the pause between tries is what bounds a broken one.
      count("retry.max", "20", "how often after a failure", "retries", 0, 1'000'000),
      duration("retry.backoff", "10s", "pause before the first retry; doubles up to ten minutes"),
      list("depends", "what it waits for: after-ok:JOB, after-not-ok:JOB, after-any:JOB, after-start:JOB"),
      {.name = "labels", .type = Type::kTextMap, .otherwise = "", .help = "by which it can be found"},
      {.name = "hold", .type = Type::kBool, .otherwise = "false", .help = "waits until it is released"},
      text("checkpoint", "", "folder that the program saves to, told as FF_CHECKPOINT_DIR"),
      text("array.index", "",
           "a job for each: 0-9, 1,3,5, 0-99%8 (at most 8 at a time); {i} in the command is the index"),
      {.name = "sweep",
       .type = Type::kTextMap,
       .otherwise = "",
       .help = "a job for each combination: lr: '1e-3,1e-4'; {lr} in the command is the value"},
  };
}

void write_type(JsonWriter& json, const Key& key) {
  switch (key.type) {
    case Type::kText: json.field("type", "string"); break;
    case Type::kChoice: json.field("type", "string"); break;
    case Type::kInteger: json.field("type", "integer"); break;
    case Type::kReal: json.field("type", "number"); break;
    case Type::kBool: json.field("type", "boolean"); break;
    case Type::kSize:
      json.key("type").begin_array().value("string").value("integer").end_array();
      json.field("pattern", "^[0-9.]+ ?([kKmMgGtTpP]?[iI]?[bB]?)$");
      break;
    case Type::kDuration:
      json.key("type").begin_array().value("string").value("integer").end_array();
      json.field("pattern", "^(0|([0-9.]+(ns|us|ms|s|m|h|d))+)$");
      break;
    case Type::kTextList:
      json.field("type", "array");
      json.key("items").begin_object();
      json.key("type").begin_array().value("string").value("number").end_array();
      break;
    case Type::kTextMap:
      json.field("type", "object");
      json.key("additionalProperties").begin_object();
      json.key("type").begin_array().value("string").value("number").end_array();
      json.end_object();
      break;
  }
  if (!key.choices.empty()) {
    json.key("enum").begin_array();
    for (const std::string& choice : key.choices) json.value(choice);
    json.end_array();
  }
  if (key.type == Type::kTextList) json.end_object();
  if (key.type == Type::kInteger) {
    if (key.min) json.field("minimum", static_cast<std::int64_t>(std::llround(*key.min)));
    if (key.max) json.field("maximum", static_cast<std::int64_t>(std::llround(*key.max)));
  }
}

void write_group(JsonWriter& json, const config::Schema& schema, const std::string& group) {
  json.field("type", "object").field("additionalProperties", false);
  json.key("properties").begin_object();
  for (const std::string& word : schema.children(group)) {
    const std::string name = group.empty() ? word : group + "." + word;
    json.key(word).begin_object();
    if (const auto key = schema.find(name)) {
      json.field("description", schema.keys()[*key].help);
      write_type(json, schema.keys()[*key]);
    } else {
      write_group(json, schema, name);
    }
    json.end_object();
  }
  json.end_object();
}

}  // namespace

const config::Schema& job_schema() {
  static const config::Schema schema(keys());
  return schema;
}

std::string job_json_schema() {
  JsonWriter json(2);
  json.begin_object();
  json.field("$schema", "https://json-schema.org/draft/2020-12/schema");
  json.field("title", "A job of Fire-Flyer (ffjob 1)");
  write_group(json, job_schema(), "");
  json.end_object();
  return json.take() + "\n";
}

}  // namespace ff::ctl
