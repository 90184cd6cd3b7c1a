// Job files, scripts and options to resolved JobSpecs, and back.
//
//   config::Config values(job_schema());
//   FF_TRY(read_job_text(values, text, "job.yaml"));      // or read_script()
//   FF_TRY(values.set_flag("resources.nodes", "4", "--set"));
//   FF_TRY_ASSIGN(const JobSpec spec, resolve_job(values, {.folder = "/ws/ann", .now_ms = now}));
//   FF_TRY_ASSIGN(const std::vector<JobSpec> jobs, expand_job(spec, variants));   // expand.hpp
//
// Errors  kInvalidArgument; they name file and line and the key, or the option.
// Threads Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ffctl/proto/job.pb.h"
#include "libcommon/config/config.hpp"

namespace ff::ctl {

inline constexpr std::size_t kJobFileBytesMax = 1u << 20;

// Whether the text is a program with its interpreter: "#!...".
bool is_script(std::string_view text) noexcept;
// YAML. REQUIRES: values is over job_schema().
Result<> read_job_text(config::Config& values, std::string_view text, const std::string& file);
// A script, which becomes run.script, with its lines "#FF key: value" and "#FF --nodes 4" (options.hpp); they stand
// before the first command. Its name becomes the command's first word.
Result<> read_script(config::Config& values, std::string_view text, const std::string& file);

struct ResolveContext {
  std::string folder;  // absolute: where run.workdir is not given
  std::uint64_t now_ms = 0;
};
// One job that keeps to check_spec(), of which expand_job() makes several where array.index or sweep ask for them.
Result<JobSpec> resolve_job(const config::Config& values, const ResolveContext& context);

// The description that resolves to the same job anywhere and at any time, but for its place in an array.
std::string describe_job(const JobSpec& spec);
// The job file of values over job_schema(): those that are not the defaults.
std::string job_text(const config::Config& values);

// "python3 /x/train.py -n 3" -> "train"; never empty.
std::string name_of_command(const RunSpec& run);
// "after-ok:12".
Result<Dependency> parse_dependency(std::string_view text);
// "2026-12-31T08:00:00Z", also with a fraction; "2h" or "+2h" after `now_ms`.
Result<std::uint64_t> parse_when(std::string_view text, std::uint64_t now_ms);
// ISO 8601 in UTC with milliseconds where there are any.
std::string format_when(std::uint64_t unix_ms);

}  // namespace ff::ctl
