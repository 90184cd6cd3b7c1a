// RocksdbCommitter: the thread that makes commits durable. While one round is written and synced the next gathers;
// a round is one write and one sync, however many commits it holds.
//
// Order      Versions are given before; rounds hold commits in the order of add().
// Threads    add(), flush() and stop() on the Env's thread; results come back there, round by round, by Env::post().
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
  RocksdbCommitter(runtime::Env& env, RocksdbDatabase& database, std::function<void(CommittedRound)> finished);
  // Finishes what was added; its results may not come back any more.
  ~RocksdbCommitter();

  void add(std::shared_ptr<PendingCommit> commit);
  // Writes what was added, now or when the round in flight is done.
  void flush();

 private:
  void work();
  void write(CommittedRound& round);

  runtime::Env& env_;
  RocksdbDatabase& database_;
  std::function<void(CommittedRound)> finished_;
  std::optional<Error> broken_;  // of the thread

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<std::shared_ptr<PendingCommit>> gathering_;
  bool flush_ = false;
  bool stopping_ = false;

  std::jthread thread_;
};

}  // namespace ff::kv
