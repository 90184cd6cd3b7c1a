// RocksdbCommitter: the thread that makes commits durable. While one round is written and synced the next gathers;
// a round is one write and one sync, however many commits it holds. A store that does not sync is written by flush()
// itself while RocksDB would not make it wait: two hand-overs between threads cost ten times the write.
//
// Order      Versions are given before; rounds hold commits in the order of add().
// Threads    add() and flush() on the Env's thread; results come back there, round by round: by Env::post(), or within
//            flush() if it wrote them.
// Failure    After a round that failed nothing is written any more: what was in that round is in doubt, later ones
// fail.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "libcommon/kv/rocksdb_database.hpp"
#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace ff::kv {

struct PendingCommit {
  WriteSet writes;
  Version version = 0;
  std::size_t bytes = 0;
  Result<Commit> result;
  bool done = false;
  runtime::WaitQueue waiting;
};

struct CommittedRound {
  std::vector<std::shared_ptr<PendingCommit>> commits;  // with their results
  RocksdbDatabase::SnapshotPtr snapshot;                // of the store after it; null after a failure
  std::optional<Error> failure;
};

class RocksdbCommitter {
 public:
  // `finished` runs on the Env's thread.
  // `sync`: as the database was opened.
  RocksdbCommitter(runtime::Env& env, RocksdbDatabase& database, bool sync,
                   std::function<void(CommittedRound)> finished);
  // Finishes what was added; its results may not come back any more.
  ~RocksdbCommitter();

  void add(std::shared_ptr<PendingCommit> commit);
  // Writes what was added, now or when the round in flight is done.
  void flush();

 private:
  void work();
  // False: it would have waited for the disk, and nothing was done. Never with Tier::kAll.
  bool write(CommittedRound& round, RocksdbDatabase::Tier tier);
  bool write_without_waiting();

  runtime::Env& env_;
  RocksdbDatabase& database_;
  std::function<void(CommittedRound)> finished_;
  bool sync_;
  std::optional<Error> broken_;  // of the thread that writes
  // Commits added and not yet given back; of the Env's thread.
  std::shared_ptr<std::size_t> outstanding_ = std::make_shared<std::size_t>(0);

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<std::shared_ptr<PendingCommit>> gathering_;
  bool flush_ = false;
  bool stopping_ = false;

  std::jthread thread_;
};

}  // namespace ff::kv
