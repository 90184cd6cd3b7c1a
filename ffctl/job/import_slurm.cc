// Scripts of sbatch.
#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ffctl/job/check.hpp"
#include "ffctl/job/import.hpp"
#include "ffctl/job/import_slurm_words.hpp"
#include "ffctl/job/options.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"

namespace ff::ctl {
namespace {

using config::Source;

bool word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

class Importer {
 public:
  Importer(std::string_view script, const std::string& file) : text_(script), file_(file), values_(job_schema()) {}

  Result<ImportedJob> run() {
    if (!is_script(text_)) return fail(Errc::kInvalidArgument, file_ + ":1: is no script ('#!' and an interpreter)");
    if (text_.size() > kJobFileBytesMax || text_.find('\0') != std::string_view::npos)
      return fail(Errc::kInvalidArgument, file_ + ": is longer than 1 MiB, or no text");
    FF_TRY(lines());
    FF_TRY(shape());
    if (!name_.empty()) FF_TRY(put("name", name_, name_place_));
    set("run.script", script_);
    set("run.command", std::vector<std::string>{"script"});
    ImportedJob job{.text = job_text(values_), .lost = std::move(lost_)};
    // What is written must be read.
    config::Config again(job_schema());
    if (auto read = read_job_text(again, job.text, file_); !read) return fail(std::move(read).error());
    auto spec = resolve_job(again, {.folder = "/", .now_ms = 0});
    if (!spec) return fail(Errc::kInvalidArgument, fmt::format("{}: {}", file_, spec.error().message()));
    return job;
  }

 private:
  std::string place() const { return fmt::format("{}:{}", file_, line_); }
  void lose(std::string_view what, std::string_view why) {
    lost_.push_back(fmt::format("{}: {}: {}", place(), what, why));
  }
  void set(std::string_view key, config::Value value) {
    values_.set(*job_schema().find(key), std::move(value), {Source::kFlag, place()});
  }
  Result<> put(std::string_view key, std::string_view text, const std::string& where) {
    return values_.set_flag(key, text, where);
  }
  std::unexpected<Error> wrong(const SlurmGiven& given) const {
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: {}: '{}' is not understood", place(), given.name, given.value));
  }

  Result<> lines() {
    bool head = true;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      std::string_view line = text_.substr(at, end - at);
      at = end + 1;
      ++line_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      head = head && (line.starts_with('#') || line.find_first_not_of(" \t") == std::string_view::npos);
      if (line.starts_with("#SBATCH") && head && (line.size() == 7 || line[7] == ' ' || line[7] == '\t')) {
        FF_TRY(directive(line.substr(7)));
        continue;
      }
      script_ += line.starts_with('#') ? std::string(line) : command(line);
      script_ += '\n';
    }
    line_ = 1;
    return {};
  }

  Result<> directive(std::string_view line) {
    auto words = split_words(line);
    if (!words) return fail(Errc::kInvalidArgument, fmt::format("{}: {}", place(), words.error().message()));
    for (std::size_t at = 0; at < words->size();) {
      if (!(*words)[at].starts_with('-')) {
        lose((*words)[at], "is no option");
        ++at;
        continue;
      }
      const SlurmGiven given = next_slurm_option(*words, at);
      if (given.option == nullptr) {
        lose(given.name, "is not known");
      } else if (given.option->lost == "-") {
        continue;
      } else if (!given.option->lost.empty()) {
        lose(given.name, given.option->lost);
      } else {
        FF_TRY(take(given));
      }
    }
    return {};
  }

  Result<> take(const SlurmGiven& given) {
    const std::string_view name = given.option->name;
    const std::string& value = given.value;
    const auto count = [&](std::optional<std::uint64_t>& to, std::string_view text) -> Result<> {
      const auto read = slurm_number(text);
      if (!read || *read == 0) return wrong(given);
      to = *read;
      return {};
    };
    if (name == "--job-name") return rename(value);
    if (name == "--partition") {
      const std::string first = value.substr(0, value.find(','));
      if (first != value) lose(given.name, "a job waits in one queue, the first");
      return plain_name(first) ? put("queue", first, place()) : Result<>(wrong(given));
    }
    if (name == "--nodes") {
      const std::size_t dash = value.find('-');
      if (dash != std::string::npos) lose(given.name, "a job has as many as it asks for, here the least");
      return count(nodes_, std::string_view(value).substr(0, dash));
    }
    if (name == "--ntasks") return count(tasks_, value);
    if (name == "--ntasks-per-node" || name == "--tasks-per-node") return count(tasks_per_node_, value);
    if (name == "--cpus-per-task") return count(cpus_per_task_, value);
    if (name == "--gres" || name.starts_with("--gpus")) return gpus(given);
    if (name.starts_with("--mem")) {
      const auto bytes = slurm_bytes(value);
      if (!bytes) return wrong(given);
      (name == "--mem" ? memory_ : name == "--mem-per-cpu" ? memory_per_cpu_ : memory_per_gpu_) = *bytes;
      return {};
    }
    if (name == "--time") {
      const auto seconds = slurm_seconds(value);
      return seconds ? put("time.limit", fmt::format("{}s", *seconds), place()) : Result<>(wrong(given));
    }
    return take_rest(given);
  }

  Result<> take_rest(const SlurmGiven& given) {
    const std::string_view name = given.option->name;
    const std::string& value = given.value;
    if (name == "--nodelist" || name == "--exclude") {
      auto hosts = expand_hosts(value);
      if (!hosts) return wrong(given);
      (name == "--exclude" ? exclude_ : only_) = std::move(*hosts);
    } else if (name == "--constraint") {
      if (value.find_first_of("|[]*()!,") != std::string::npos) {
        lose(given.name, fmt::format("'{}': nodes can only be asked for with all of several labels", value));
      } else {
        std::string list = value;
        std::ranges::replace(list, '&', ',');
        return put("placement.require", list, place());
      }
    } else if (name == "--array") {
      return put("array.index", value, place());
    } else if (name == "--chdir") {
      if (!value.starts_with('/')) {
        lose(given.name, "is not absolute");
      } else {
        return put("run.workdir", value, place());
      }
    } else if (name == "--export") {
      return variables(given);
    } else if (name == "--begin") {
      return begin(given);
    } else if (name == "--hold") {
      return put("hold", "true", place());
    } else if (name == "--no-requeue") {
      return put("retry.on", "none", place());
    } else if (!value.empty()) {
      set_label(std::string(name.substr(2)), value);
    }
    return {};
  }

  void set_label(const std::string& name, const std::string& value) {
    auto labels = values_.get<config::TextMap>("labels");
    labels.insert_or_assign(name, value);
    set("labels", std::move(labels));
  }

  Result<> rename(const std::string& value) {
    name_.clear();
    for (const char c : value.substr(0, 255)) name_ += plain_name({&c, 1}) ? c : '-';
    name_place_ = place();
    if (name_ != value) lose("--job-name", fmt::format("is '{}' here (letters, digits, '.', '_' and '-')", name_));
    return {};
  }

  Result<> variables(const SlurmGiven& given) {
    if (given.value == "NONE" || given.value == "NIL") return {};
    auto env = values_.get<config::TextMap>("run.env");
    for (std::size_t at = 0; at <= given.value.size();) {
      const std::size_t end = std::min(given.value.find(',', at), given.value.size());
      const std::string one = given.value.substr(at, end - at);
      at = end + 1;
      const std::size_t equals = one.find('=');
      if (equals != std::string::npos && equals != 0) {
        env.insert_or_assign(one.substr(0, equals), one.substr(equals + 1));
      } else if (!one.empty()) {
        lose(given.name, fmt::format("{}: jobs have the environment of the node's agent (use -e NAME at submit)", one));
      }
    }
    set("run.env", std::move(env));
    return {};
  }

  Result<> begin(const SlurmGiven& given) {
    const std::string& value = given.value;
    if (const auto wait = slurm_from_now(value)) return put("time.begin", fmt::format("+{}s", *wait), place());
    lose(given.name, fmt::format("'{}' is a time of the submitter's zone (write UTC: 2026-12-31T08:00:00Z)", value));
    return {};
  }

  // "gpu:a100:4", "a100:4", "4".
  Result<> gpus(const SlurmGiven& given) {
    std::string_view value = given.value;
    if (given.option->name == "--gres") {
      if (value != "gpu" && !value.starts_with("gpu:")) {
        lose(given.name, fmt::format("'{}': there are only GPUs", value));
        return {};
      }
      value.remove_prefix(std::min<std::size_t>(4, value.size()));
    }
    if (const std::size_t colon = value.rfind(':'); colon != std::string_view::npos) {
      lose(given.name, fmt::format("'{}': kinds are labels of nodes (use placement.require)", value.substr(0, colon)));
      value.remove_prefix(colon + 1);
    } else if (!value.empty() && !slurm_number(value)) {
      lose(given.name, fmt::format("'{}': kinds are labels of nodes (use placement.require)", value));
      value = "1";
    }
    const auto count = value.empty() ? std::optional<std::uint64_t>(1) : slurm_number(value);
    if (!count) return wrong(given);
    (given.option->name == "--gpus"            ? gpus_
     : given.option->name == "--gpus-per-task" ? gpus_per_task_
                                               : gpus_per_node_) = *count;
    return {};
  }

  // A line of the script, with our names of variables, and without srun at its begin.
  std::string command(std::string_view line) {
    std::string out = renamed(line);
    const std::size_t first = out.find_first_not_of(" \t");
    if (first == std::string::npos || !out.substr(first).starts_with("srun")) return out;
    std::size_t at = first + 4;
    if (at < out.size() && out[at] != ' ' && out[at] != '\t') return out;
    // Only words without quotes are understood here.
    std::vector<std::string> words;
    std::vector<std::size_t> begins;
    while (at < out.size()) {
      at = std::min(out.find_first_not_of(" \t", at), out.size());
      const std::size_t end = std::min(out.find_first_of(" \t", at), out.size());
      if (end == at) break;
      words.push_back(out.substr(at, end - at));
      begins.push_back(at);
      at = end;
    }
    std::size_t word = 0;
    while (word < words.size() && words[word].starts_with('-')) {
      const SlurmGiven given = next_slurm_option(words, word);
      if (given.option == nullptr) {
        lose("srun " + given.name, "is not known; the line is left as it is");
        return out;
      }
      if (given.option->name == "--ntasks" || given.option->name == "--nodes" || given.option->name.contains("-per-"))
        lose("srun " + given.name, "every rank of the job runs the line");
    }
    if (word == words.size() || words[word] == "\\") {
      lose("srun", "its program is on another line; the line is left as it is");
      return out;
    }
    ++sruns_;
    return out.substr(0, first) + out.substr(begins[word]);
  }

  std::string renamed(std::string_view line) {
    std::string out;
    for (std::size_t at = 0; at < line.size();) {
      if (!word_char(line[at])) {
        out += line[at++];
        continue;
      }
      std::size_t end = at;
      while (end < line.size() && word_char(line[end])) ++end;
      const std::string_view word = line.substr(at, end - at);
      at = end;
      if (const std::string_view ours = our_variable(word); !ours.empty()) {
        out += ours;
        continue;
      }
      if (word.starts_with("SLURM_") || word.starts_with("SBATCH_") || word == "scontrol" || word == "sbatch")
        lose(word, "is not there (MASTER_ADDR, MASTER_PORT and FF_NODE_LIST are set)");
      out += word;
    }
    return out;
  }

  // Nodes, ranks and what each has, from what was said of tasks.
  Result<> shape() {
    std::uint64_t nodes = nodes_.value_or(1);
    std::uint64_t per_node = tasks_per_node_.value_or(1);
    if (tasks_ && !tasks_per_node_) {
      per_node = (*tasks_ + nodes - 1) / nodes;
      if (per_node * nodes != *tasks_)
        lose("--ntasks", fmt::format("{} on {} nodes are not as many on each", *tasks_, nodes));
    } else if (tasks_ && !nodes_) {
      nodes = (*tasks_ + per_node - 1) / per_node;
    }
    if (!only_.empty() && only_.size() < nodes) lose("--nodelist", "the other nodes cannot be chosen freely");
    if (only_.size() > nodes) nodes = only_.size();
    if (only_.size() >= nodes && !only_.empty()) set("placement.only", only_);
    if (!exclude_.empty()) set("placement.exclude", exclude_);
    if (sruns_ == 0 && nodes > 1) lose("script", "is started on every node, not on the first alone");
    if (sruns_ == 0 && per_node > 1) lose("tasks", "without srun the script is started once on each node");
    if (sruns_ > 1) lose("srun", "several: no rank waits for the others between them");
    FF_TRY(put("resources.nodes", std::to_string(nodes), place()));
    if (sruns_ > 0) {
      FF_TRY(put("run.launcher", "per-rank", place()));
      FF_TRY(put("run.ranks_per_node", std::to_string(per_node), place()));
    }
    std::uint64_t gpus = gpus_per_node_.value_or(gpus_per_task_.value_or(0) * per_node);
    if (gpus_ && !gpus_per_node_) {
      gpus = (*gpus_ + nodes - 1) / nodes;
      if (gpus * nodes != *gpus_) lose("--gpus", fmt::format("{} on {} nodes are not as many on each", *gpus_, nodes));
    }
    FF_TRY(put("resources.gpus_per_node", std::to_string(gpus), place()));
    const std::uint64_t cpus = cpus_per_task_.value_or(0) * per_node;
    FF_TRY(put("resources.cpus_per_node", std::to_string(cpus), place()));
    std::uint64_t memory = memory_.value_or(0);
    if (memory_per_cpu_ && cpus == 0) lose("--mem-per-cpu", "the number of CPUs is not said");
    if (memory_per_cpu_) memory = *memory_per_cpu_ * cpus;
    if (memory_per_gpu_) memory = *memory_per_gpu_ * gpus;
    set("resources.memory", memory);
    return {};
  }

  std::string_view text_;
  const std::string& file_;
  config::Config values_;
  std::string script_, name_, name_place_;
  std::vector<std::string> lost_, only_, exclude_;
  std::size_t line_ = 0, sruns_ = 0;
  std::optional<std::uint64_t> nodes_, tasks_, tasks_per_node_, cpus_per_task_, gpus_, gpus_per_node_, gpus_per_task_,
      memory_, memory_per_cpu_, memory_per_gpu_;
};

}  // namespace

Result<ImportedJob> import_slurm(std::string_view script, const std::string& file) {
  return Importer(script, file).run();
}

}  // namespace ff::ctl
