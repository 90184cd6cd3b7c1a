// Any bytes are a job file, a script, or an error that names the file. What is accepted keeps to the rules, and
// describes itself to a text that gives the same job; so do the jobs of its array or sweep keep to the rules.
#include <cstdint>
#include <string>
#include <string_view>

#include "ffctl/job/check.hpp"
#include "ffctl/job/expand.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::ctl;

ff::Result<JobSpec> read(ff::config::Config& values, std::string_view text) {
  FF_TRY(is_script(text) ? read_script(values, text, "f") : read_job_text(values, text, "f"));
  return resolve_job(values, {.folder = "/here", .now_ms = 1'800'000'000'000});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ff::config::Config values(job_schema());
  const auto spec = read(values, {reinterpret_cast<const char*>(data), size});
  if (!spec) {
    FF_ASSERT(spec.error().code() == ff::Errc::kInvalidArgument, spec.error().message());
    // A file that says nothing of a command has no line for that.
    const std::string& message = spec.error().message();
    FF_ASSERT(message.starts_with("f:") || message.starts_with("run.command: is empty"), message);
    return 0;
  }
  FF_ASSERT(!check_spec(*spec));
  const std::string text = describe_job(*spec);
  ff::config::Config again(job_schema());
  const auto same = read(again, text);
  FF_ASSERT(same.has_value(), same ? "" : same.error().message(), text);
  FF_ASSERT(same->DebugString() == spec->DebugString(), text, same->DebugString(), spec->DebugString());
  // A few: a thousand jobs say no more.
  const auto array = parse_array(values.get<std::string>("array.index"));
  if (array && array->indices.size() > 64) return 0;
  Variants variants{.array = values.get<std::string>("array.index"),
                    .sweep = values.get<ff::config::TextMap>("sweep"),
                    .lines = std::nullopt};
  std::size_t commas = 0;
  for (const auto& [name, list] : variants.sweep)
    for (const char c : list) commas += c == ',' ? 1 : 0;
  if (commas > 8) return 0;
  const auto jobs = expand_job(*spec, variants);
  if (!jobs) {
    FF_ASSERT(jobs.error().code() == ff::Errc::kInvalidArgument, jobs.error().message());
    return 0;
  }
  for (const JobSpec& job : *jobs) FF_ASSERT(!check_spec(job));
  return 0;
}
