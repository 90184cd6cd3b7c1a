// The engine over an Env: `depth` operations of one job in flight on one reactor. On a RealEnv that is io_uring with
// registered buffers (or the thread pool where io_uring is forbidden); on a SimEnv the simulated disk, which is how the
// tests know what must come out.
//
// Latency  From the call of File::read or write to its return: submission and completion on our side included.
// Errors   The first failed operation ends the job; its error is in the reading beside what was counted until then. A
//          short read of a whole block is kCorrupt.
// Threads  That of the Env.
#pragma once

#include <stop_token>

#include "ffbench/storage/job.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::bench {

// Runs the job for `duration` (0: without limit) or until its operations are done, on an open file. The stop ends it
// after the operations in flight. REQUIRES: check(job); offsets and block size fit file.alignment().
runtime::Task<Result<StorageReading>> run_on_env(runtime::Env& env, runtime::File& file, StorageJob job,
                                                 runtime::Duration duration, std::stop_token stop);

// Writes seeded, incompressible bytes over [offset, offset + size) in large blocks. The stop ends it with kCancelled.
runtime::Task<Result<>> write_seeded(runtime::Env& env, runtime::File& file, std::uint64_t offset, std::uint64_t size,
                                     std::uint64_t seed, std::stop_token stop);
// The same, and syncs them.
runtime::Task<Result<>> lay_out(runtime::Env& env, runtime::File& file, std::uint64_t offset, std::uint64_t size,
                                std::uint64_t seed, std::stop_token stop);

}  // namespace ff::bench
