#include "ffctl/cmd/job_file.hpp"

#include <fmt/core.h>

#include <chrono>
#include <filesystem>

#include "ffctl/job/expand.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

Result<std::pair<std::string, std::string>> split(const std::string& text, const char* option) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    return fail(Errc::kInvalidArgument, fmt::format("{}: '{}': is not NAME=VALUE", option, text));
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

}  // namespace

void JobFileOptions::add_to(cli::Command& command) {
  const auto add = [&](cli::Option option) { command.options.push_back(std::move(option)); };
  add({.names = "file",
       .target = &file_,
       .help = "job file (YAML) or script with lines #FF KEY: VALUE, instead of a command and the options that "
               "describe it; -: standard input",
       .value_name = "FILE",
       .complete = "file"});
  add({.names = "--set",
       .target = &set_,
       .help = "key of the job file, over what stands there; may be given several times",
       .value_name = "KEY=VALUE"});
  add({.names = "-a,--array",
       .target = &array_,
       .help = "with FILE: a job for each index: 0-9, 1,3,5, 0-99%8 (at most 8 at a time); {i} is the index",
       .value_name = "LIST"});
  add({.names = "--sweep",
       .target = &sweep_,
       .help = "with FILE: a job for each value, and each combination; {NAME} is the value",
       .value_name = "NAME=V1,V2…"});
}

Result<> JobFileOptions::check_alone() const {
  const char* const option = !set_.empty()     ? "--set"
                             : !array_.empty() ? "--array"
                             : !sweep_.empty() ? "--sweep"
                                               : nullptr;
  if (option == nullptr) return {};
  return fail(Errc::kInvalidArgument, fmt::format("{}: goes with a job file, and none is given", option));
}

Result<std::vector<JobSpec>> JobFileOptions::jobs() const {
  const std::string name = file_ == "-" ? "standard input" : file_;
  FF_TRY_ASSIGN(const std::string text, read_file(file_ == "-" ? "/dev/stdin" : file_, kJobFileBytesMax));
  config::Config values(job_schema());
  FF_TRY(is_script(text) ? read_script(values, text, name) : read_job_text(values, text, name));
  for (const std::string& one : set_) {
    FF_TRY_ASSIGN(const auto pair, split(one, "--set"));
    FF_TRY(values.set_flag(pair.first, pair.second, "--set"));
  }
  if (!array_.empty()) FF_TRY(values.set_flag("array.index", array_, "--array"));
  for (const std::string& one : sweep_) {
    FF_TRY_ASSIGN(const auto pair, split(one, "--sweep"));
    FF_TRY(values.set_flag("sweep." + pair.first, pair.second, "--sweep"));
  }
  std::error_code error;
  const std::string folder = std::filesystem::current_path(error).string();
  if (error) return fail(Errc::kIo, fmt::format("this folder: {}", error.message()));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  FF_TRY_ASSIGN(const JobSpec spec, resolve_job(values, {.folder = folder, .now_ms = now_ms}));
  return expand_job(spec, {.array = values.get<std::string>("array.index"),
                           .sweep = values.get<config::TextMap>("sweep"),
                           .lines = std::nullopt});
}

}  // namespace ff::ctl
