// Storage jobs on files of a file system, through libffs: one client, with its own reactor, for each job.
//
// Durable  A write has ended when its bytes are on all replicas (files of up to ffs::kInlineBytes: at the next sync).
// Errors   of the first job that failed, with its number; the others are stopped.
// Threads  One call at a time; each makes its own threads and joins them.
#pragma once

#include <chrono>
#include <span>
#include <stop_token>
#include <string>

#include "ffbench/ffs/clients.hpp"
#include "ffbench/storage/job.hpp"

namespace ff::bench {

struct FfsJob {
  StorageJob job;
  std::string path;
};

// All jobs at once, job i by client i, and their counts in one. `duration` as run_on_env() has it.
// REQUIRES: as many clients as jobs.
Result<StorageReading> run_ffs_jobs(FfsClients& clients, std::span<const FfsJob> jobs,
                                    std::chrono::nanoseconds duration, std::stop_token stop);

// Writes seeded data over [offset, offset + size) of files that exist, durably, all at once; file i by client i, with
// seed + i. REQUIRES: as many clients as files.
Result<> lay_out_ffs(FfsClients& clients, std::span<const std::string> paths, std::uint64_t offset, std::uint64_t size,
                     std::uint64_t seed, std::stop_token stop);

}  // namespace ff::bench
