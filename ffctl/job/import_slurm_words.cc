#include "ffctl/job/import_slurm_words.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "ffctl/job/check.hpp"

namespace ff::ctl {
namespace {

constexpr auto kSlurmOptions = std::to_array<SlurmOption>({
    {"--job-name", "-J"},
    {"--partition", "-p"},
    {"--nodes", "-N"},
    {"--ntasks", "-n"},
    {"--ntasks-per-node", ""},
    {"--tasks-per-node", ""},
    {"--time", "-t"},
    {"--gres", ""},
    {"--gpus", "-G"},
    {"--gpus-per-node", ""},
    {"--gpus-per-task", ""},
    {"--cpus-per-task", "-c"},
    {"--mem", ""},
    {"--mem-per-cpu", ""},
    {"--mem-per-gpu", ""},
    {"--nodelist", "-w"},
    {"--exclude", "-x"},
    {"--constraint", "-C"},
    {"--array", "-a"},
    {"--chdir", "-D"},
    {"--export", ""},
    {"--begin", "-b"},
    {"--hold", "-H", Takes::kNothing},
    {"--no-requeue", "", Takes::kNothing},
    {"--account", "-A"},
    {"--comment", ""},
    {"--requeue", "", Takes::kNothing, "-"},
    {"--parsable", "", Takes::kNothing, "-"},
    {"--quiet", "-Q", Takes::kNothing, "-"},
    {"--verbose", "-v", Takes::kNothing, "-"},
    {"--wait", "-W", Takes::kNothing, "use `ffctl submit --wait`"},
    {"--exclusive", "", Takes::kMaybe, "a job of several nodes has them for itself, one of a node where it takes all"},
    {"--output", "-o", Takes::kValue, "output is kept by the nodes (ffctl logs)"},
    {"--error", "-e", Takes::kValue, "output is kept by the nodes (ffctl logs)"},
    {"--open-mode", "", Takes::kValue, "output is kept by the nodes (ffctl logs)"},
    {"--dependency", "-d", Takes::kValue, "its numbers are of Slurm's jobs (use depends, with numbers of ffctl)"},
    {"--signal", "", Takes::kValue, "jobs are told by libffjob, then SIGTERM (see preemption.grace)"},
    {"--qos", "-q", Takes::kValue, "there are priorities and quotas instead (choose a priority)"},
    {"--mail-type", "", Takes::kValue, "no mail is sent"},
    {"--mail-user", "", Takes::kValue, "no mail is sent"},
    {"--reservation", "", Takes::kValue, "there are none"},
    {"--licenses", "-L", Takes::kValue, "there are none"},
    {"--nice", "", Takes::kMaybe, "choose a priority"},
    {"--priority", "", Takes::kValue, "choose a priority"},
    {"--time-min", "", Takes::kValue, "there is only one limit"},
    {"--mpi", "", Takes::kValue, "ranks are told by variables (RANK, WORLD_SIZE, MASTER_ADDR)"},
    {"--cpu-bind", "", Takes::kValue, "ranks are not bound"},
    {"--gpu-bind", "", Takes::kValue, "ranks are not bound"},
    {"--mem-bind", "", Takes::kValue, "ranks are not bound"},
    {"--distribution", "-m", Takes::kValue, "ranks are in the order of the nodes"},
    {"--hint", "", Takes::kValue, "there is no such choice"},
    {"--threads-per-core", "", Takes::kValue, "there is no such choice"},
    {"--ntasks-per-core", "", Takes::kValue, "there is no such choice"},
    {"--ntasks-per-socket", "", Takes::kValue, "there is no such choice"},
    {"--tmp", "", Takes::kValue, "there is no such choice"},
    {"--switches", "", Takes::kValue, "there is no such choice"},
    {"--kill-on-bad-exit", "-K", Takes::kMaybe, "-"},
    {"--label", "-l", Takes::kNothing, "-"},
    {"--unbuffered", "-u", Takes::kNothing, "-"},
});

// Of a job's processes: what these say there, ours say here.
constexpr auto kVariables = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"SLURM_JOB_ID", "FF_JOB"},
    {"SLURM_JOBID", "FF_JOB"},
    {"SLURM_JOB_NAME", "FF_JOB_NAME"},
    {"SLURM_ARRAY_JOB_ID", "FF_ARRAY"},
    {"SLURM_ARRAY_TASK_ID", "FF_ARRAY_INDEX"},
    {"SLURM_NNODES", "FF_NODES"},
    {"SLURM_JOB_NUM_NODES", "FF_NODES"},
    {"SLURM_NODEID", "FF_NODE_RANK"},
    {"SLURM_PROCID", "FF_RANK"},
    {"SLURM_LOCALID", "FF_LOCAL_RANK"},
    {"SLURM_NTASKS", "FF_RANKS"},
    {"SLURM_NPROCS", "FF_RANKS"},
});

const SlurmOption* find(std::string_view word) {
  const auto* const found = std::ranges::find_if(kSlurmOptions, [&](const SlurmOption& one) {
    return word == one.name || (!one.letter.empty() && word == one.letter);
  });
  return found == kSlurmOptions.end() ? nullptr : found;
}

}  // namespace

std::optional<std::uint64_t> slurm_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || stop != text.data() + text.size() || value > 1'000'000'000)
    return std::nullopt;
  return value;
}

std::optional<std::uint64_t> slurm_seconds(std::string_view text) {
  if (text == "infinite" || text == "INFINITE" || text == "UNLIMITED" || text == "unlimited") return 0;
  std::uint64_t days = 0;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto value = slurm_number(text.substr(0, dash));
    if (!value) return std::nullopt;
    days = *value;
    text.remove_prefix(dash + 1);
  }
  std::vector<std::uint64_t> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    const auto value = slurm_number(text.substr(at, end - at));
    if (!value || parts.size() == 3) return std::nullopt;
    parts.push_back(*value);
    at = end + 1;
  }
  // With days the first is hours, without it is minutes, but for three.
  if (dash == std::string_view::npos && parts.size() < 3) parts.insert(parts.begin(), 0);
  parts.resize(3);
  const std::uint64_t total = ((days * 24 + parts[0]) * 60 + parts[1]) * 60 + parts[2];
  if (total > kTenYearsMs / 1000) return std::nullopt;
  return total;
}

std::optional<std::uint64_t> slurm_bytes(std::string_view text) {
  std::size_t shift = 20;
  if (!text.empty()) {
    const std::size_t unit = std::string_view("KMGT").find(static_cast<char>(text.back() & ~0x20));
    if (unit != std::string_view::npos && text.back() > '9') {
      shift = 10 * (unit + 1);
      text.remove_suffix(1);
    }
  }
  const auto value = slurm_number(text);
  if (!value || *value > (std::uint64_t{1} << 50 >> shift)) return std::nullopt;
  return *value << shift;
}

SlurmGiven next_slurm_option(const std::vector<std::string>& words, std::size_t& at) {
  SlurmGiven given{.option = nullptr, .name = words[at++], .value = ""};
  bool valued = false;
  if (const std::size_t equals = given.name.find('='); given.name.starts_with("--") && equals != std::string::npos) {
    given.value = given.name.substr(equals + 1);
    given.name.resize(equals);
    valued = true;
  } else if (!given.name.starts_with("--") && given.name.size() > 2) {
    given.value = given.name.substr(2);
    given.name.resize(2);
    valued = true;
  }
  given.option = find(given.name);
  if (!valued && given.option != nullptr && given.option->takes == Takes::kValue && at < words.size())
    given.value = words[at++];
  return given;
}

std::optional<std::uint64_t> slurm_from_now(std::string_view text) {
  static constexpr auto kUnits = std::to_array<std::pair<std::string_view, std::uint64_t>>(
      {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}, {"week", 604'800}});
  if (!text.starts_with("now+")) return std::nullopt;
  text.remove_prefix(4);
  std::uint64_t unit = 1;
  for (const auto& [word, seconds] : kUnits) {
    const std::size_t at = text.find(word);
    if (at == std::string_view::npos || at == 0) continue;
    unit = seconds;
    text = text.substr(0, at);
  }
  const auto count = slurm_number(text);
  if (!count || *count * unit > kTenYearsMs / 1000) return std::nullopt;
  return *count * unit;
}

std::string_view our_variable(std::string_view slurm) noexcept {
  const auto* const known = std::ranges::find_if(kVariables, [&](const auto& one) { return one.first == slurm; });
  return known == kVariables.end() ? std::string_view() : known->second;
}

}  // namespace ff::ctl
