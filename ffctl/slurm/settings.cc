#include "ffctl/slurm/settings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "libcommon/config/loader.hpp"

namespace ff::ctl {
namespace {

using config::Type;

Result<std::string> usual_logs() {
  for (const auto& [name, below] : {std::pair("XDG_STATE_HOME", ""), std::pair("HOME", "/.local/state")})
    if (const char* const value = std::getenv(name); value != nullptr && *value != '\0')
      return std::string(value) + below + "/fire-flyer/slurm";
  return fail(Errc::kInvalidArgument, "slurm.logs: is not given, and there is no HOME (set FF_SLURM_LOGS)");
}

Result<> check_folder(const std::string& key, const std::string& path) {
  const auto odd = [](char c) { return c < ' ' || c == 127 || c == '%' || c == '\\'; };
  if (path.empty() || path[0] != '/')
    return fail(Errc::kInvalidArgument, fmt::format("{}: '{}': is no absolute path", key, path));
  if (std::ranges::any_of(path, odd) || path.size() > 1024)
    return fail(
        Errc::kInvalidArgument,
        fmt::format("{}: has %, \\ or control characters, or is too long (Slurm could not name files there)", key));
  return {};
}

Result<> check_qos(const config::TextMap& qos) {
  for (const auto& [word, name] : qos) {
    bool known = false;
    for (int i = IDLE; i <= EXTREME; ++i) known |= priority_word(static_cast<Priority>(i)) == word;
    if (!known) return fail(Errc::kInvalidArgument, fmt::format("slurm.qos: {}: is no priority", word));
    if (name.empty()) return fail(Errc::kInvalidArgument, fmt::format("slurm.qos: {}: has no name", word));
  }
  return {};
}

}  // namespace

std::string priority_word(Priority priority) {
  std::string out = Priority_Name(priority);
  for (char& c : out) c = c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

const config::Schema& executor_schema() {
  static const config::Schema schema(
      {{.name = "executor",
        .type = Type::kChoice,
        .otherwise = "own",
        .help = "who runs jobs: the agents of ffctl, or a Slurm that is there already",
        .choices = {"own", "slurm"}},
       {.name = "slurm.bin", .otherwise = "", .help = "folder of sbatch and the others; empty: they are in PATH"},
       {.name = "slurm.conf", .otherwise = "", .help = "slurm.conf; empty: where Slurm looks for it"},
       {.name = "slurm.logs",
        .otherwise = "",
        .help = "folder for the output of ranks, shared by all nodes; empty: ~/.local/state/fire-flyer/slurm"},
       {.name = "slurm.partition", .otherwise = "", .help = "for queue default; empty: Slurm's default"},
       {.name = "slurm.nice_step",
        .type = Type::kInteger,
        .otherwise = "1000",
        .help = "nice value that one step of priority is worth; 0: priorities are not passed on",
        .min = 0,
        .max = 100'000'000},
       {.name = "slurm.qos",
        .type = Type::kTextMap,
        .otherwise = "",
        .help = "quality of service that stands for a priority, instead of a nice value"},
       {.name = "slurm.deadline",
        .type = Type::kDuration,
        .otherwise = "30s",
        .help = "most that one command of Slurm may take",
        .min = 0.1,
        .max = 3600}});
  return schema;
}

Result<std::optional<SlurmSettings>> executor_settings(const std::string& given, const std::string& file) {
  config::Config config(executor_schema());
  if (!file.empty()) FF_TRY(config::load_file(config, file));
  FF_TRY(config.load_environment());
  if (!given.empty()) FF_TRY(config.set_flag("executor", given, "--executor"));
  if (config.get<std::string>("executor") != "slurm") return std::nullopt;
  SlurmSettings settings{.bin = config.get<std::string>("slurm.bin"),
                         .conf = config.get<std::string>("slurm.conf"),
                         .logs = config.get<std::string>("slurm.logs"),
                         .partition = config.get<std::string>("slurm.partition"),
                         .nice_step = config.get<std::int64_t>("slurm.nice_step"),
                         .qos = config.get<config::TextMap>("slurm.qos")};
  settings.deadline =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.get<std::chrono::nanoseconds>("slurm.deadline"));
  if (settings.logs.empty()) {
    FF_TRY_ASSIGN(settings.logs, usual_logs());
  }
  FF_TRY(check_folder("slurm.logs", settings.logs));
  if (!settings.bin.empty()) FF_TRY(check_folder("slurm.bin", settings.bin));
  FF_TRY(check_qos(settings.qos));
  return settings;
}

}  // namespace ff::ctl
