// Runs storage jobs on this machine: a thread for each, on io_uring or with blocking calls.
//
// Threads  run_jobs() and prepare_file() make their own threads and join them; one call at a time.
// Errors   of the first job that failed, with its number; the others are stopped.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/storage/job.hpp"

namespace ff::bench {

enum class Engine : std::uint8_t { kUring, kPsync };

struct JobTarget {
  StorageJob job;
  std::string path;
  bool direct = true;
};

// Whether the operating system does direct I/O on this file; offsets and lengths must then be multiples of the result.
// 1: not direct.
Result<std::uint64_t> direct_alignment_of(const std::string& path);

// One job of several: number, and a stop that comes from outside or from another job's failure.
using OneJob = std::function<Result<StorageReading>(std::size_t job, std::stop_token stop)>;
// `count` jobs at once, a thread each, and the reading of each; one that fails ends the others.
Result<std::vector<StorageReading>> run_side_by_side(std::size_t count, const OneJob& run, std::stop_token stop);
// The counts of all in one.
Result<StorageReading> sum_of(const std::vector<StorageReading>& readings);

// All jobs at once, and the reading of each; one that fails ends the others. kUring: Disk of a RealEnv. kPsync: pread
// and pwrite; REQUIRES depth 1. `duration` as run_on_env() has it.
Result<std::vector<StorageReading>> run_each(std::span<const JobTarget> targets, Engine engine,
                                             std::chrono::nanoseconds duration, std::stop_token stop);
// The same, with the counts of all in one.
Result<StorageReading> run_jobs(std::span<const JobTarget> targets, Engine engine, std::chrono::nanoseconds duration,
                                std::stop_token stop);

// Makes a file whose [offset, offset + size) holds seeded data and is durable; a direct one is rounded up to what
// direct I/O takes. kAlreadyExists: there is one, or a link.
Result<> prepare_file(const std::string& path, std::uint64_t offset, std::uint64_t size, std::uint64_t seed,
                      bool direct, std::stop_token stop);

// Syncs a file and asks the kernel to forget its cached pages.
Result<> drop_cache(const std::string& path);

}  // namespace ff::bench
