// Writes blocks that describe themselves, and notes in a journal what the storage has acknowledged as synced, so that
// verify_check() can tell later, in another process, whether it kept its word. To be killed, or cut from power, at any
// instant.
//
// Order    Blocks are written again and again with `depth` writes in flight, in the order of the run (verify.md); after
//          every `sync_every` writes that have ended, in that order, the target is synced while writing goes on, and
//          then the journal says so, durably.
// Errors   What went wrong after the start is in the reading beside what was done until then: kExhausted on a full
//          disk, kIo, kCancelled. kInvalidArgument: a block size that direct I/O does not take.
// Threads  That of the Env.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "ffbench/storage/verify_journal.hpp"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::bench {

struct VerifyWriteOptions {
  std::uint64_t seed = 1;
  std::uint64_t offset = 0;
  std::uint64_t blocks = 0;
  std::uint32_t block_bytes = 4096;
  std::uint32_t depth = 16;
  std::uint64_t sync_every = 256;
  std::uint64_t writes_max = 0;  // 0: until the time is over
  runtime::Duration duration{0};
  bool random = true;
  bool direct = true;
  bool new_target = false;   // kAlreadyExists if there is one
  bool new_journal = false;  // the same
};

// The run that these options make; run.run is left 0. kInvalidArgument names the option.
Result<VerifyRun> plan_verify_run(const VerifyWriteOptions& options);

struct VerifyWriteReading {
  VerifyRun run;
  std::uint64_t writes = 0;  // acknowledged
  std::uint64_t synced = 0;  // acknowledged as durable, and so noted
  std::int64_t elapsed_ns = 0;
  bool direct = false;             // past the page cache: the file system may have refused
  metrics::Histogram write, sync;  // ns
  std::optional<Error> error;      // why it ended early
};

// Creates what does not exist of `journal_path` and `target_path`. What exists is overwritten, except by `new_target`
// and `new_journal`. REQUIRES: `disk` is that of `env`, or stands before it.
runtime::Task<Result<VerifyWriteReading>> verify_write(runtime::Env& env, runtime::Disk& disk, std::string target_path,
                                                       std::string journal_path, VerifyWriteOptions options,
                                                       std::stop_token stop);

}  // namespace ff::bench
