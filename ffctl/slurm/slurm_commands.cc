#include "ffctl/slurm/slurm_commands.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "ffctl/slurm/errors.hpp"
#include "ffctl/slurm/rows.hpp"

namespace ff::ctl {

using runtime::Task;

namespace {

bool passed_on(std::string_view name) {
  static constexpr std::string_view kNames[] = {"PATH",       "LANG",           "TZ",         "LD_LIBRARY_PATH",
                                                "HOME",       "USER",           "LOGNAME",    "SHELL",
                                                "SLURM_CONF", "SBATCH_ACCOUNT", "SBATCH_QOS", "SBATCH_RESERVATION"};
  return std::ranges::find(kNames, name) != std::end(kNames) || name.starts_with("LC_");
}

}  // namespace

SlurmCommands::SlurmCommands(runtime::Env& env, const SlurmSettings& settings) : env_(env), settings_(settings) {}

std::vector<std::string> SlurmCommands::environment(bool utc) const {
  std::vector<std::string> out;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text(*one);
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = (name == "SLURM_CONF" && !settings_.conf.empty()) || (name == "TZ" && utc);
    if (passed_on(name) && !replaced) out.emplace_back(text);
  }
  if (!settings_.conf.empty()) out.push_back("SLURM_CONF=" + settings_.conf);
  if (utc) out.emplace_back("TZ=UTC");
  return out;
}

Task<Result<ChildEnd>> SlurmCommands::run(std::vector<std::string> words, std::string input) {
  const std::string name = words.front();
  // Jobs inherit what sbatch has.
  ChildStart start{.words = std::move(words),
                   .environment = environment(name != "sbatch"),
                   .input = std::move(input),
                   .deadline = settings_.deadline};
  if (!settings_.bin.empty()) start.words.front() = settings_.bin + "/" + name;
  FF_CO_TRY_ASSIGN(Result<ChildEnd> end, co_await runtime::offload(env_, [&] { return run_child(start); }));
  if (!end) {
    const Errc code = end.error().code();
    if (code == Errc::kNotFound)
      co_return fail(
          Errc::kUnavailable,
          fmt::format("{} (install Slurm's commands, or name their folder in FF_SLURM_BIN)", end.error().message()));
    co_return fail(code == Errc::kTimeout ? Errc::kUnavailable : code, end.error().message());
  }
  if (end->code > 128) co_return fail(slurm_error(name, *end));
  if (end->cut) co_return fail(Errc::kExhausted, fmt::format("{}: prints more than can be kept", name));
  co_return std::move(*end);
}

Task<Result<std::string>> SlurmCommands::output(std::vector<std::string> words, std::string input) {
  const std::string name = words.front();
  FF_CO_TRY_ASSIGN(ChildEnd end, co_await run(std::move(words), std::move(input)));
  if (end.code != 0) co_return fail(slurm_error(name, end));
  co_return std::move(end.output);
}

Task<Result<SlurmCommands::Rows>> SlurmCommands::rows(std::vector<std::string> words, std::vector<std::string> fields) {
  Rows rows{.text = {}, .separator = row_separator(env_.rng().next())};
  words.push_back("-O" + row_format(fields, rows.separator));
  FF_CO_TRY_ASSIGN(rows.text, co_await output(std::move(words)));
  co_return rows;
}

}  // namespace ff::ctl
