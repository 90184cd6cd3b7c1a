// Reads what verify_write() left, whatever happened since, and says of each block whether the storage kept its promise.
//
// Memory   8 bytes for each block, and the reads in flight.
// Errors   kNotFound, kCorrupt (the journal), kIo (nothing can be read at all). Blocks that cannot be read are a
// verdict. Threads  That of the Env.
#pragma once

#include <array>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/storage/verify_block.hpp"
#include "ffbench/storage/verify_journal.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::bench {

struct VerifyFailure {
  std::uint64_t offset = 0;  // in the target
  BlockFinding finding;
};

struct VerifyReport {
  VerifyRun run;
  std::uint64_t synced = 0;                // writes that the storage has promised
  std::uint64_t blocks = 0;                // looked at; fewer than run.blocks after a stop
  std::array<std::uint64_t, 10> counts{};  // by verdict
  std::vector<VerifyFailure> failures;     // by offset; kFailuresListed at most
  std::int64_t elapsed_ns = 0;
  bool direct = false;  // read past the page cache: the file system may have refused

  static constexpr std::size_t kFailuresListed = 1000;
  std::uint64_t count(BlockVerdict verdict) const { return counts[static_cast<std::size_t>(verdict)]; }
  std::uint64_t failed() const;
};

struct VerifyCheckOptions {
  std::uint32_t depth = 8;
  bool direct = true;
};

// REQUIRES: `disk` is that of `env`, or stands before it.
runtime::Task<Result<VerifyReport>> verify_check(runtime::Env& env, runtime::Disk& disk, std::string target_path,
                                                 std::string journal_path, VerifyCheckOptions options,
                                                 std::stop_token stop);

// "offset 40960: corrupt: sector 3 differs from write 12 in 1 bit (byte 1601 bit 4)".
std::string describe(const VerifyFailure& failure);

}  // namespace ff::bench
