// InodeIds: numbers for new inodes, from blocks that this service takes of sharded counters in the KvStore. A number is
// given once in the life of the file system: a block that a dead service had not used up is never used.
//
// Threads    Those of the Env. Ownership: Env and store outlive it.
#pragma once

#include "ffs/format/types.hpp"
#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

inline constexpr std::uint64_t kInodeBlock = 1024;  // the first one is reserved
inline constexpr unsigned kInodeShards = 16;

class InodeIds {
 public:
  InodeIds(runtime::Env& env, kv::KvStore& store, runtime::Duration timeout)
      : env_(env), store_(store), timeout_(timeout) {}
  // Waits only when a block is used up.
  runtime::Task<Result<InodeId>> next();

 private:
  runtime::Task<Result<std::uint64_t>> take_block();

  runtime::Env& env_;
  kv::KvStore& store_;
  const runtime::Duration timeout_;
  runtime::Mutex mutex_;  // over taking a block
  std::uint64_t next_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace ff::ffs
