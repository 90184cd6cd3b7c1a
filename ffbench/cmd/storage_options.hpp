// The options that all loads of storage share (`ffbench storage raw`, `path`, `ffs`), and the jobs that they mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffbench/measure/session.hpp"
#include "ffbench/storage/job.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::bench {

inline constexpr std::uint64_t kOwnFileBytes = std::uint64_t{256} << 20;  // --size of files that a test makes

struct StorageOptions {
  MeasureOptions measure;
  std::string rw = "randread", bs = "4KiB", rate = "0", distribution = "uniform";
  std::int64_t depth = 16, jobs = 1, mix = 50, fsync = 0, seed = 1, operations = 0;
  cli::ByteSize size{0}, offset{0};
  bool force = false, keep = false, repeat_offsets = false;
};

// All but --offset, --force, --keep and those of `measure`. `options` must outlive the command's run().
void add_storage_options(cli::Command& command, StorageOptions& options);

// One for each pattern and block size. kInvalidArgument names the option.
Result<std::vector<StorageJob>> storage_jobs(const StorageOptions& options);

}  // namespace ff::bench
