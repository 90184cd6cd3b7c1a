// A short look at the storage under a folder, for the validator of nodes: does it keep what it is given, and how fast.
//
// Method   Writes a file of seeded blocks in 1 MiB pieces with O_DIRECT where the file system has it, syncs it, reads
//          all of it back and compares every byte; then 4 KiB random reads at depth 16, and 4 KiB writes with a sync
//          each. The file loses its name as soon as it is open, so that nothing stays even after kill -9. Where there
//          is no direct I/O, the file is synced and its cached pages are dropped before it is read back.
// Errors   kExhausted (no space), kPermission, kNotFound, kIo name the path. Wrong bytes are no error but
//          verify_errors.
// Threads  One call at a time for a folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::bench {

struct StorageProbe {
  double write_bandwidth = 0;  // B/s
  double read_bandwidth = 0;   // B/s
  double fsync_p50_ns = 0;     // of 4 KiB written and synced
  double fsync_p99_ns = 0;
  double randread_p99_ns = 0;       // of 4 KiB at depth 16
  std::uint64_t verify_errors = 0;  // blocks of 1 MiB that came back other than written
  bool direct = true;               // false: through the page cache, which may have answered
};

// `duration` bounds each of the random parts, and twice as much the writing and the reading back of `bytes`, which is
// rounded up to whole MiB: slow storage is given and asked less.
Result<StorageProbe> probe_storage(const std::string& folder, std::uint64_t bytes, std::chrono::nanoseconds duration,
                                   std::stop_token stop);
// The same over any Env, so that tests can put a simulated disk below. `path` is made, or written over; the caller
// removes it.
runtime::Task<Result<StorageProbe>> probe_on_env(runtime::Env& env, std::string path, std::uint64_t bytes,
                                                 std::chrono::nanoseconds duration, std::stop_token stop);

}  // namespace ff::bench
