// Any text is a job file whose jobs can all be run, or is refused with the name of the file.
#include <cstdint>
#include <string_view>

#include "ffbench/storage/fio_job.hpp"
#include "libcommon/base/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ff::bench;
  const auto jobs = parse_fio({reinterpret_cast<const char*>(data), size}, "job.fio");
  if (!jobs) {
    FF_ASSERT(jobs.error().code() == ff::Errc::kInvalidArgument, jobs.error().message());
    FF_ASSERT(jobs.error().message().starts_with("job.fio:"), jobs.error().message());
    return 0;
  }
  FF_ASSERT(!jobs->empty());
  std::size_t grouped = 0;
  for (const auto group : fio_groups(*jobs)) grouped += group.size();
  FF_ASSERT(grouped == jobs->size(), grouped, jobs->size());
  for (const FioJob& job : *jobs) {
    FF_ASSERT(!job.name.empty() && job.line > 0 && job.clones > 0 && job.loops > 0, job.name);
    FF_ASSERT(!job.filename.empty() || (!job.directory.empty() && job.job.size > 0), job.name);
    FF_ASSERT(job.job.block_bytes > 0 && job.job.depth > 0, job.name);
    FF_ASSERT(job.engine == Engine::kUring || job.job.depth == 1, job.name);
    if (job.job.size > 0) FF_ASSERT(check(job.job).has_value(), job.name);
  }
  return 0;
}
