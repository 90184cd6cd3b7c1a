// Task descriptions of HAI Platform, version 2. yaml-cpp stops here.
#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>

#include "ffctl/job/check.hpp"
#include "ffctl/job/import.hpp"
#include "ffctl/job/options.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "ffctl/job/words.hpp"

namespace ff::ctl {
namespace {

using config::Source;

// It gives whole nodes; what it was made for has eight GPUs in each.
constexpr const char* kGpusOfNode = "8";
constexpr const char* kItsWatchdog = "1800s";

class Importer {
 public:
  explicit Importer(const std::string& file) : file_(file), values_(job_schema()) {}

  Result<ImportedJob> run(const YAML::Node& root) {
    if (!root.IsMap()) return fail(Errc::kInvalidArgument, file_ + ":1: is no map of keys");
    FF_TRY(put("resources.gpus_per_node", kGpusOfNode));
    FF_TRY(put("run.launcher", "per-rank"));
    FF_TRY(put("run.ranks_per_node", "1"));
    FF_TRY(put("time.no_output", kItsWatchdog));
    bool versioned = false;
    for (const auto& entry : root) {
      const std::string key = entry.first.Scalar();
      line_ = entry.first.Mark().line + 1;
      versioned = versioned || key == "version";
      FF_TRY(top(key, entry.second));
    }
    line_ = 1;
    if (!versioned) return wrong("version", "is missing (version 2 is read)");
    if (!gpus_said_) lose("resource.gpu", fmt::format("is not said: {} on each node are asked for", kGpusOfNode));
    FF_TRY(command());
    ImportedJob job{.text = job_text(values_), .lost = std::move(lost_)};
    config::Config again(job_schema());
    FF_TRY(read_job_text(again, job.text, file_));
    auto spec = resolve_job(again, {.folder = "/", .now_ms = 0});
    if (!spec) return fail(Errc::kInvalidArgument, fmt::format("{}: {}", file_, spec.error().message()));
    return job;
  }

 private:
  std::string place() const { return fmt::format("{}:{}", file_, line_); }
  std::unexpected<Error> wrong(std::string_view key, std::string_view what) const {
    return fail(Errc::kInvalidArgument, fmt::format("{}: {}: {}", place(), key, what));
  }
  void lose(std::string_view key, std::string_view why) {
    lost_.push_back(fmt::format("{}: {}: {}", place(), key, why));
  }
  Result<> put(std::string_view key, std::string_view text) { return values_.set_flag(key, text, place()); }
  void set(std::string_view key, config::Value value) {
    values_.set(*job_schema().find(key), std::move(value), {Source::kFlag, place()});
  }

  Result<> top(const std::string& key, const YAML::Node& node) {
    if (key == "spec" || key == "resource" || key == "options") return group(key, node);
    if (key == "services") {
      lose(key, "jobs have no services");
      return {};
    }
    FF_TRY_ASSIGN(const std::string text, scalar(key, node));
    if (key == "version") return text == "2" ? Result<>() : Result<>(wrong(key, "is not 2"));
    if (key == "name") return name(text);
    if (key == "priority") return priority(text);
    if (key == "task_type") {
      if (text != "training") lose(key, fmt::format("'{}': all jobs are of one kind", text));
    } else {
      lose(key, "is not known");
    }
    return {};
  }

  Result<> group(const std::string& group, const YAML::Node& node) {
    if (node.IsNull()) return {};
    if (!node.IsMap()) return wrong(group, "is no map of keys");
    for (const auto& entry : node) {
      const std::string key = entry.first.Scalar();
      line_ = entry.first.Mark().line + 1;
      if (entry.second.IsNull()) continue;
      if (group == "spec") {
        FF_TRY(spec(key, entry.second));
      } else if (group == "resource") {
        FF_TRY(resource(key, entry.second));
      } else {
        FF_TRY(option(key, entry.second));
      }
    }
    return {};
  }

  Result<std::string> scalar(const std::string& key, const YAML::Node& node) const {
    if (node.IsNull()) return std::string();
    if (!node.IsScalar()) return wrong(key, "is no single value");
    return node.Scalar();
  }

  Result<> name(const std::string& text) {
    std::string name;
    for (const char c : text.substr(0, 255)) name += plain_name({&c, 1}) ? c : '-';
    if (name != text) lose("name", fmt::format("is '{}' here (letters, digits, '.', '_' and '-')", name));
    return put("name", name);
  }

  Result<> priority(const std::string& text) {
    struct Rank {
      std::string_view number, word;
      Priority priority;
    };
    static constexpr auto kRanks = std::to_array<Rank>({{"50", "EXTREME_HIGH", EXTREME},
                                                        {"40", "VERY_HIGH", VERY_HIGH},
                                                        {"30", "HIGH", HIGH},
                                                        {"20", "ABOVE_NORMAL", ABOVE_NORMAL},
                                                        {"10", "NORMAL", NORMAL},
                                                        {"8", "UNDER_NORMAL", LOW},
                                                        {"5", "BELOW_NORMAL", LOW},
                                                        {"0", "LOW", IDLE},
                                                        {"-1", "AUTO", NORMAL}});
    const auto* const found = std::ranges::find_if(
        kRanks, [&](const Rank& one) { return text == one.number || lower_name(text) == lower_name(one.word); });
    if (found == kRanks.end()) return wrong("priority", fmt::format("'{}' is none of its priorities", text));
    if (found->number == "8") lose("priority", "UNDER_NORMAL is low here, as BELOW_NORMAL is");
    return put("priority", priority_text(found->priority));
  }

  Result<> spec(const std::string& key, const YAML::Node& node) {
    if (key == "environments") {
      if (!node.IsMap()) return wrong("spec." + key, "is no map of keys");
      config::TextMap env;
      for (const auto& entry : node) {
        line_ = entry.first.Mark().line + 1;
        FF_TRY_ASSIGN(std::string value, scalar("spec." + key, entry.second));
        env.insert_or_assign(entry.first.Scalar(), std::move(value));
      }
      set("run.env", std::move(env));
      return {};
    }
    FF_TRY_ASSIGN(std::string text, scalar("spec." + key, node));
    if (key == "workspace") {
      if (!text.starts_with('/')) {
        lose("spec.workspace", "is not absolute");
        return {};
      }
      return put("run.workdir", text);
    }
    if (key == "entrypoint") {
      entry_ = std::move(text);
    } else if (key == "parameters") {
      parameters_ = std::move(text);
    } else if (key == "entrypoint_executable") {
      executable_ = text == "true" || text == "True";
    } else {
      lose("spec." + key,
           key.starts_with("git_") ? "sources are not fetched (check them out into the workspace)" : "is not known");
    }
    return {};
  }

  Result<> resource(const std::string& key, const YAML::Node& node) {
    const std::string name = "resource." + key;
    FF_TRY_ASSIGN(const std::string text, scalar(name, node));
    if (key == "node_count") return put("resources.nodes", text);
    if (key == "gpu") {
      gpus_said_ = true;
      return put("resources.gpus_per_node", text);
    }
    if (key == "cpu") return put("resources.cpus_per_node", text);
    if (key == "memory") return memory(name, text);
    if (key == "group") {
      const std::size_t zone = text.find('#');
      if (zone != std::string::npos)
        lose(name, fmt::format("zone '{}': give it as a label, too", text.substr(zone + 1)));
      const std::string label = text.substr(0, zone);
      if (label.empty()) return {};
      lose(name, fmt::format("nodes of this group need the label '{}'", label));
      return put("placement.require", label);
    }
    if (key == "is_spot") {
      if (text == "true" || text == "True") return put("preemption.mode", "kill");
      return {};
    }
    lose(name, key == "image" ? "jobs run without containers" : "is not known");
    return {};
  }

  // Bytes where no unit is said; "500Gi" is how Kubernetes writes 500GiB.
  Result<> memory(const std::string& name, std::string text) {
    if (text.ends_with('i')) text += 'B';
    if (put("resources.memory", text)) return {};
    lose(name, fmt::format("'{}' is no size", text));
    return {};
  }

  Result<> option(const std::string& key, const YAML::Node& node) {
    const std::string name = "options." + key;
    if (key == "watchdog_time") {
      FF_TRY_ASSIGN(const std::string text, scalar(name, node));
      return put("time.no_output", text + "s");
    }
    if (key == "tags") {
      if (!node.IsSequence()) return wrong(name, "is no list");
      config::TextMap labels;
      for (const auto& one : node) {
        FF_TRY_ASSIGN(const std::string tag, scalar(name, one));
        if (label_name(tag)) {
          labels.insert_or_assign(tag, "");
        } else {
          lose(name, fmt::format("'{}' cannot be a label", tag));
        }
      }
      set("labels", std::move(labels));
      return {};
    }
    if (key == "override_node_resource") {
      if (!node.IsMap()) return wrong(name, "is no map of keys");
      for (const auto& entry : node) {
        line_ = entry.first.Mark().line + 1;
        const std::string which = entry.first.Scalar();
        FF_TRY_ASSIGN(const std::string text, scalar(name, entry.second));
        if (which == "cpu") {
          FF_TRY(put("resources.cpus_per_node", text));
        } else if (which == "memory") {
          FF_TRY(memory(name + ".memory", text));
        } else {
          lose(name + "." + which, "is not known");
        }
      }
      return {};
    }
    lose(name, key == "whole_life_state" ? "programs keep a state with libffjob (ff_state_set)"
               : key == "py_venv"        ? "enter the environment in the command"
                                         : "there is no such choice");
    return {};
  }

  Result<> command() {
    if (entry_.empty()) return wrong("spec.entrypoint", "is missing");
    std::vector<std::string> words;
    if (!executable_ && entry_.ends_with(".py")) words = {"python", "-u"};
    if (!executable_ && entry_.ends_with(".sh")) words = {"bash"};
    words.push_back(!words.empty() || entry_.contains('/') ? entry_ : "./" + entry_);
    // It gave them to a shell.
    if (parameters_.find_first_of("$`|&;<>*?~(){}\n#") != std::string::npos) {
      words = {"bash", "-c", fmt::format("exec \"$@\" {}", parameters_), "bash"};
      lose("spec.parameters", "a shell reads them, as it did there");
      if (entry_.ends_with(".py") && !executable_) words.insert(words.end(), {"python", "-u"});
      if (entry_.ends_with(".sh") && !executable_) words.emplace_back("bash");
      words.push_back(entry_.contains('/') || !executable_ ? entry_ : "./" + entry_);
    } else {
      auto more = split_words(parameters_);
      if (!more) return wrong("spec.parameters", more.error().message());
      words.insert(words.end(), more->begin(), more->end());
    }
    set("run.command", std::move(words));
    return {};
  }

  const std::string& file_;
  config::Config values_;
  std::vector<std::string> lost_;
  std::string entry_, parameters_;
  bool executable_ = false, gpus_said_ = false;
  int line_ = 1;
};

}  // namespace

Result<ImportedJob> import_hai(std::string_view yaml, const std::string& file) {
  if (yaml.size() > kJobFileBytesMax || yaml.find('\0') != std::string_view::npos)
    return fail(Errc::kInvalidArgument, file + ": is longer than 1 MiB, or no text");
  try {
    return Importer(file).run(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& error) {
    const int line = error.mark.is_null() ? 1 : error.mark.line + 1;
    return fail(Errc::kInvalidArgument, fmt::format("{}:{}: {}", file, line, error.msg));
  }
}

}  // namespace ff::ctl
