#include "ffctl/job/options.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "ffctl/job/schema.hpp"
#include "libcommon/cli/suggestion.hpp"

namespace ff::ctl {
namespace {

using config::TextMap;
using config::Type;

constexpr auto kOptions = std::to_array<JobOption>({
    {"-J,--name", "name", "NAME", "of the job; else that of the program"},
    {"-q,--queue", "queue", "QUEUE", ""},
    {"-p,--priority", "priority", "", ""},
    {"-N,--nodes", "resources.nodes", "", ""},
    {"-G,--gpus-per-node", "resources.gpus_per_node", "", ""},
    {"--cpus-per-node", "resources.cpus_per_node", "", ""},
    {"--memory", "resources.memory", "", ""},
    {"--pids", "resources.pids", "", ""},
    {"--launcher", "run.launcher", "", ""},
    {"-R,--ranks-per-node", "run.ranks_per_node", "", ""},
    {"-C,--workdir", "run.workdir", "DIR", "folder to start in; else this one", true},
    {"-e,--env", "run.env", "NAME[=VALUE]", "variable of its environment; without a value, this shell's"},
    {"-l,--label", "labels", "NAME[=VALUE]", "label of the job"},
    {"--require", "placement.require", "LABEL", "label that its nodes have"},
    {"--exclude", "placement.exclude", "NODE", "node not to use"},
    {"--only", "placement.only", "NODE", "node to choose from"},
    {"-t,--limit", "time.limit", "", ""},
    {"--estimate", "time.estimate", "", ""},
    {"--begin", "time.begin", "WHEN", ""},
    {"--no-output", "time.no_output", "", ""},
    {"--no-progress", "time.no_progress", "", ""},
    {"--preemption", "preemption.mode", "", ""},
    {"--grace", "preemption.grace", "", ""},
    {"--max-grace", "preemption.max_grace", "", ""},
    {"--min-run", "preemption.min_run", "", ""},
    {"--budget", "preemption.budget", "", ""},
    {"--retry", "retry.on", "", "after what it is started again"},
    {"--retries", "retry.max", "", ""},
    {"--backoff", "retry.backoff", "", ""},
    {"-d,--depends", "depends", "WHEN:JOB", "start after-ok, after-not-ok, after-any or after-start of a job"},
    {"-H,--hold", "hold", "", ""},
    {"--checkpoint", "checkpoint", "DIR", "", true},
    {"-a,--array", "array.index", "LIST", ""},
    {"--sweep", "sweep", "NAME=V1,V2…", "a job for each value, and each combination; {NAME} is the value"},
});

std::unexpected<Error> wrong(std::string what) { return fail(Errc::kInvalidArgument, std::move(what)); }

Result<> add_entry(TextMap& map, const JobOption& option, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (name.empty()) return wrong(fmt::format("'{}': has no name", text));
  if (equals != std::string::npos) {
    map.insert_or_assign(name, text.substr(equals + 1));
  } else if (option.key == "labels") {
    map.insert_or_assign(name, "");
  } else if (option.key == "sweep") {
    return wrong(fmt::format("'{}': is not NAME=VALUE", text));
  } else if (const char* const value = std::getenv(name.c_str()); value != nullptr) {
    map.insert_or_assign(name, value);
  } else {
    return wrong(fmt::format("{}: is not set here (write {}=VALUE)", name, name));
  }
  return {};
}

const JobOption* find_option(std::string_view name) {
  for (const JobOption& option : kOptions) {
    const std::size_t comma = option.names.find(',');
    if (option.names.substr(0, comma) == name) return &option;
    if (comma != std::string_view::npos && option.names.substr(comma + 1) == name) return &option;
  }
  return nullptr;
}

}  // namespace

std::span<const JobOption> job_options() noexcept { return kOptions; }

const config::Key& key_of(const JobOption& option) { return job_schema().keys()[*job_schema().find(option.key)]; }

Result<> set_job_option(config::Config& values, const JobOption& option, const std::vector<std::string>& texts,
                        const std::string& place) {
  const std::size_t index = *job_schema().find(option.key);
  const config::Key& key = key_of(option);
  if (key.type == Type::kTextMap) {
    TextMap map = values.get<TextMap>(option.key);
    for (const std::string& text : texts) FF_TRY_CTX(add_entry(map, option, text), place);
    values.set(index, std::move(map), {config::Source::kFlag, place});
    return {};
  }
  std::string text;
  for (const std::string& one : texts) text = key.type != Type::kTextList || text.empty() ? one : text + "," + one;
  auto value = config::parse_value(key, text);
  if (!value) return fail(std::move(value).error().context(place));
  values.set(index, std::move(*value), {config::Source::kFlag, place});
  return {};
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::optional<std::string> word;
  char quote = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (quote == 0 && (c == ' ' || c == '\t')) {
      if (word) words.push_back(*std::exchange(word, std::nullopt));
      continue;
    }
    // A comment, as in a shell.
    if (quote == 0 && c == '#' && !word) break;
    if (!word) word.emplace();
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'') {
      if (++at == line.size()) return wrong("ends with '\\'");
      *word += line[at];
    } else {
      *word += c;
    }
  }
  if (quote != 0) return wrong(fmt::format("a quote {} is not closed", quote));
  if (word) words.push_back(std::move(*word));
  return words;
}

Result<std::vector<OptionGiven>> parse_job_options(std::string_view line) {
  FF_TRY_ASSIGN(const std::vector<std::string> words, split_words(line));
  std::vector<OptionGiven> given;
  for (std::size_t at = 0; at < words.size(); ++at) {
    std::string name = words[at];
    std::optional<std::string> text;
    if (!name.starts_with('-')) return wrong(fmt::format("'{}' is no option", name));
    if (const std::size_t equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      text = name.substr(equals + 1);
      name.resize(equals);
    } else if (!name.starts_with("--") && name.size() > 2) {
      text = name.substr(2);
      name.resize(2);
    }
    const JobOption* const option = find_option(name);
    if (option == nullptr) {
      std::vector<std::string> names;
      for (const JobOption& one : kOptions) names.push_back(one.long_name());
      return wrong(fmt::format("unknown option '{}'{}", name, cli::did_you_mean(name, names)));
    }
    if (!text && key_of(*option).type == Type::kBool) text = "true";
    if (!text) {
      if (++at == words.size()) return wrong(fmt::format("option '{}': needs a value", name));
      text = words[at];
    }
    given.push_back({option, std::move(*text)});
  }
  return given;
}

}  // namespace ff::ctl
