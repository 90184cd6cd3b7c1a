#include "libcommon/kv/rocksdb_committer.hpp"

#include <utility>

namespace ff::kv {

RocksdbCommitter::RocksdbCommitter(runtime::Env& env, RocksdbDatabase& database, bool sync,
                                   std::function<void(CommittedRound)> finished)
    : env_(env), database_(database), finished_(std::move(finished)), sync_(sync), thread_([this] { work(); }) {}

RocksdbCommitter::~RocksdbCommitter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void RocksdbCommitter::add(std::shared_ptr<PendingCommit> commit) {
  ++*outstanding_;
  const std::lock_guard lock(mutex_);
  gathering_.push_back(std::move(commit));
}

void RocksdbCommitter::flush() {
  if (!sync_ && write_without_waiting()) return;
  {
    const std::lock_guard lock(mutex_);
    flush_ = true;
  }
  wake_.notify_one();
}

bool RocksdbCommitter::write_without_waiting() {
  CommittedRound round;
  {
    const std::lock_guard lock(mutex_);
    if (gathering_.size() != *outstanding_) return false;  // the thread has earlier ones
    round.commits.swap(gathering_);
  }
  if (round.commits.empty()) return true;
  if (!write(round, RocksdbDatabase::Tier::kMemory)) {
    const std::lock_guard lock(mutex_);
    gathering_.swap(round.commits);
    return false;
  }
  *outstanding_ = 0;
  finished_(std::move(round));
  return true;
}

void RocksdbCommitter::work() {
  for (;;) {
    auto round = std::make_shared<CommittedRound>();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return flush_ || stopping_; });
      flush_ = false;
      round->commits.swap(gathering_);
      if (round->commits.empty()) {
        if (stopping_) return;
        continue;
      }
    }
    (void)write(*round, RocksdbDatabase::Tier::kAll);
    // All travels by value: this object may be gone when it runs, its owner sees to that.
    env_.post([finished = finished_, outstanding = outstanding_, round = std::move(round)] {
      *outstanding -= round->commits.size();
      finished(std::move(*round));
    });
  }
}

bool RocksdbCommitter::write(CommittedRound& round, RocksdbDatabase::Tier tier) {
  if (broken_) {
    for (const auto& commit : round.commits) commit->result = std::unexpected(*broken_);
    round.failure = broken_;
    return true;
  }
  std::vector<RocksdbDatabase::RoundEntry> entries;
  entries.reserve(round.commits.size());
  for (const auto& commit : round.commits) {
    entries.push_back({.writes = &commit->writes, .version = commit->version, .outcome = {}});
  }
  auto written = database_.write_round(entries, tier);
  if (!written) {
    broken_ = std::move(written).error().context("the store only reads since a write failed (mend the disk, restart)");
    round.failure = broken_;
    // What reached the log may be found there after a restart.
    for (const auto& commit : round.commits) {
      commit->result = Commit{.outcome = Outcome::kMaybeCommitted, .version = 0};
    }
    return true;
  }
  if (!*written) return false;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].outcome) {
      round.commits[i]->result = Commit{.outcome = Outcome::kCommitted, .version = entries[i].version};
    } else {
      round.commits[i]->result = std::unexpected(std::move(entries[i].outcome).error());
    }
  }
  round.snapshot = database_.take_snapshot(entries.back().version);
  return true;
}

}  // namespace ff::kv
