// The engine of blocking calls: one job, one thread, one operation at a time, as most programs do their I/O.
// Threads  The caller's. Errors  name the file, the operation and the offset.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "ffbench/storage/job.hpp"

namespace ff::bench {

// REQUIRES: job.depth == 1, check(job). `direct` opens with O_DIRECT.
Result<StorageReading> run_psync(const std::string& path, const StorageJob& job, bool direct,
                                 std::chrono::nanoseconds duration, std::stop_token stop);

}  // namespace ff::bench
