#include "libcommon/kv/rocksdb_store.hpp"

#include <algorithm>
#include <deque>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/lease_rules.hpp"
#include "libcommon/kv/local_leases.hpp"
#include "libcommon/kv/rocksdb_committer.hpp"
#include "libcommon/kv/rocksdb_database.hpp"
#include "libcommon/kv/watch_list.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

using runtime::Task;
using SnapshotPtr = RocksdbDatabase::SnapshotPtr;
using Tier = RocksdbDatabase::Tier;

namespace {

// Memory and the log take a transaction as one piece; what is larger is better kept in files.
Limits limits_of(const std::string& path) {
  return {.value_bytes_max = 16u << 20,
          .transaction_bytes_max = 64u << 20,
          .transaction_operations_max = 0,
          .data_bytes_max = 0,
          .note = "as many files as the disk of " + path + " has room for, some 500 bytes each"};
}
// Commits that wait for the disk; beyond it commit() waits.
constexpr std::size_t kGatheringBytesMax = 128u << 20;
// Commits whose writes are remembered for watches that begin a little late, besides those that transactions need.
constexpr Version kWatchWindow = 4096;

class RocksdbStore final : public KvStore, private LeaseEpochs {
 public:
  RocksdbStore(runtime::Env& env, const RocksdbOptions& options, std::unique_ptr<RocksdbDatabase> database);

  std::unique_ptr<Transaction> begin() override;
  Limits limits() const override { return limits_; }
  Task<Result<std::unique_ptr<Watch>>> watch(KeyRange range, Version after) override;
  Task<Result<std::unique_ptr<Lease>>> acquire_lease(std::string name, std::string holder,
                                                     runtime::Duration ttl) override;
  Task<Result<std::optional<std::string>>> current_holder(std::string name) override;
  std::string describe() const override { return "rocksdb " + path_; }
  Task<void> stop() override;

 private:
  friend class RocksdbTransaction;

  struct Submitted {
    Version snapshot = 0;
    ReadSet reads;
    WriteSet writes;
    std::vector<LeaseGuard> guards;
  };
  Task<Result<Commit>> commit(Submitted request);
  std::shared_ptr<PendingCommit> admit(WriteSet writes, std::size_t bytes);
  void round_finished(CommittedRound round);
  void publish(SnapshotPtr snapshot);
  // The oldest snapshot that a running transaction may have.
  Version oldest_snapshot();
  Task<Result<>> flush_when_all_have_added();
  Task<Result<>> drain();
  Task<Result<std::uint64_t>> next_epoch(std::string name) override;

  runtime::Env& env_;
  std::string path_;
  Limits limits_;
  std::unique_ptr<RocksdbDatabase> database_;
  Resolver resolver_;
  SnapshotPtr published_;
  std::deque<std::weak_ptr<const RocksdbDatabase::Snapshot>> snapshots_;  // published so far, oldest first
  WatchList watches_;
  LocalLeases leases_;
  std::optional<Error> failure_;

  std::size_t pending_bytes_ = 0;
  std::size_t pending_commits_ = 0;
  runtime::WaitQueue room_;  // a round has finished
  runtime::WaitQueue added_;
  bool unflushed_ = false;
  // What the committer's messages ask before they touch the store, which may be gone.
  std::shared_ptr<RocksdbStore*> self_;
  std::unique_ptr<RocksdbCommitter> committer_;
  runtime::Scope scope_;
};

class RocksdbTransaction final : public BufferedTransaction {
 public:
  explicit RocksdbTransaction(RocksdbStore& store) : BufferedTransaction(&store, store.limits_), store_(store) {}

 private:
  Task<Result<Version>> take_snapshot() override {
    snapshot_ = store_.published_;
    co_return snapshot_->version;
  }
  Task<Result<std::optional<std::string>>> read(const std::string& key) override {
    FF_CO_TRY_ASSIGN(auto found, store_.database_->get(*snapshot_, key, Tier::kMemory));
    if (found) co_return *std::move(found);
    FF_CO_TRY_ASSIGN(auto read, co_await runtime::offload(store_.env_, [this, &key] {
                       return store_.database_->get(*snapshot_, key, Tier::kAll);
                     }));
    FF_CO_TRY_ASSIGN(found, std::move(read));
    co_return *std::move(found);
  }
  Task<Result<RangeResult>> scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit,
                                 bool reverse) override {
    const auto look = [&](Tier tier) {
      return store_.database_->scan(*snapshot_, range, limit, bytes_limit, reverse, tier);
    };
    FF_CO_TRY_ASSIGN(auto found, look(Tier::kMemory));
    if (found) co_return *std::move(found);
    FF_CO_TRY_ASSIGN(auto read, co_await runtime::offload(store_.env_, [&look] { return look(Tier::kAll); }));
    FF_CO_TRY_ASSIGN(found, std::move(read));
    co_return *std::move(found);
  }
  Task<Result<Commit>> submit(Submission submission) override {
    co_return co_await store_.commit({.snapshot = submission.snapshot.value_or(store_.published_->version),
                                      .reads = std::move(submission.reads),
                                      .writes = std::move(submission.writes),
                                      .guards = std::move(submission.guards)});
  }

  RocksdbStore& store_;
  SnapshotPtr snapshot_;
};

RocksdbStore::RocksdbStore(runtime::Env& env, const RocksdbOptions& options, std::unique_ptr<RocksdbDatabase> database)
    : env_(env),
      path_(options.path),
      limits_(limits_of(path_)),
      database_(std::move(database)),
      resolver_(database_->version_at_open()),
      leases_(this, *this),
      self_(std::make_shared<RocksdbStore*>(this)),
      scope_(env) {
  publish(database_->take_snapshot(database_->version_at_open()));
  committer_ = std::make_unique<RocksdbCommitter>(env_, *database_, options.sync,
                                                  [weak = std::weak_ptr(self_)](CommittedRound round) {
                                                    if (const auto store = weak.lock())
                                                      (*store)->round_finished(std::move(round));
                                                  });
  scope_.spawn(flush_when_all_have_added());
}

std::unique_ptr<Transaction> RocksdbStore::begin() { return std::make_unique<RocksdbTransaction>(*this); }

Task<Result<Commit>> RocksdbStore::commit(Submitted request) {
  const std::size_t bytes = request.writes.bytes();
  while (!failure_ && pending_bytes_ > kGatheringBytesMax) FF_CO_TRY(co_await room_.wait());
  if (failure_) co_return std::unexpected(*failure_);
  const bool guarded =
      std::ranges::all_of(request.guards, [&](const LeaseGuard& guard) { return leases_.is_current(guard); });
  if (!guarded || resolver_.check(request.snapshot, request.reads) != Resolver::Verdict::kCommit) {
    co_return Commit{.outcome = Outcome::kConflict, .version = 0};
  }
  const auto pending = admit(std::move(request.writes), bytes);
  while (!pending->done) {
    // It is on its way and cannot be called back.
    if (auto waited = co_await pending->waiting.wait(); !waited && !pending->done) {
      co_return Commit{.outcome = Outcome::kMaybeCommitted, .version = 0};
    }
  }
  co_return std::move(pending->result);
}

std::shared_ptr<PendingCommit> RocksdbStore::admit(WriteSet writes, std::size_t bytes) {
  auto pending = std::make_shared<PendingCommit>();
  pending->version = resolver_.next();
  pending->bytes = bytes;
  for (const auto& [key, write] : writes.points()) resolver_.wrote(key, pending->version);
  for (const auto& [begin, end] : writes.cleared()) resolver_.wrote(KeyRange{begin, end}, pending->version);
  std::uint16_t order = 0;
  for (const StampedKey& stamped : writes.stamped()) {
    resolver_.wrote(stamped.key(pending->version, order++), pending->version);
  }
  pending->writes = std::move(writes);
  pending_bytes_ += bytes;
  ++pending_commits_;
  committer_->add(pending);
  unflushed_ = true;
  added_.wake_one();
  return pending;
}

// All tasks that can run now add their commits before the thread is woken: if the first woke it, it would sync for
// that one alone, while the others wait for a second sync.
Task<Result<>> RocksdbStore::flush_when_all_have_added() {
  for (;;) {
    while (!unflushed_) FF_CO_TRY(co_await added_.wait());
    co_await runtime::yield();
    unflushed_ = false;
    committer_->flush();
  }
}

void RocksdbStore::round_finished(CommittedRound round) {
  if (round.failure) {
    if (!failure_) {
      failure_ = round.failure;
      leases_.fail_all(*failure_);
      watches_.fail_all(*failure_);
    }
  } else {
    publish(std::move(round.snapshot));
  }
  for (const auto& commit : round.commits) {
    const bool committed = commit->result && commit->result->outcome == Outcome::kCommitted;
    if (committed) watches_.wrote(commit->writes, commit->version);
    pending_bytes_ -= commit->bytes;
    --pending_commits_;
    commit->done = true;
    commit->waiting.wake_all();
  }
  room_.wake_all();
}

void RocksdbStore::publish(SnapshotPtr snapshot) {
  published_ = std::move(snapshot);
  snapshots_.push_back(published_);
  const Version now = published_->version;
  resolver_.forget_before(std::min(oldest_snapshot(), now > kWatchWindow ? now - kWatchWindow : 0));
}

Version RocksdbStore::oldest_snapshot() {
  while (snapshots_.front().expired()) snapshots_.pop_front();
  const auto oldest = snapshots_.front().lock();
  return oldest->version;
}

Task<Result<std::unique_ptr<Watch>>> RocksdbStore::watch(KeyRange range, Version after) {
  if (failure_) co_return std::unexpected(*failure_);
  // Only what is published can be read; what is on its way will be told.
  const Version now = published_->version;
  const bool changed = after < now && resolver_.changed_since(range, after);
  co_return watches_.add(std::move(range), changed, now);
}

Task<Result<std::unique_ptr<Lease>>> RocksdbStore::acquire_lease(std::string name, std::string holder,
                                                                 runtime::Duration ttl) {
  FF_CO_TRY(check_lease_arguments(name, holder, ttl));
  co_return co_await leases_.acquire(std::move(name), std::move(holder));
}

Task<Result<std::uint64_t>> RocksdbStore::next_epoch(std::string name) {
  FF_CO_TRY_ASSIGN(auto epoch, co_await runtime::offload(env_, [&] { return database_->next_lease_epoch(name); }));
  co_return epoch;
}

Task<Result<std::optional<std::string>>> RocksdbStore::current_holder(std::string name) {
  co_return leases_.holder(name);
}

Task<Result<>> RocksdbStore::drain() {
  while (pending_commits_ > 0) {
    committer_->flush();
    if (pending_commits_ > 0) FF_CO_TRY(co_await room_.wait());
  }
  co_return {};
}

Task<void> RocksdbStore::stop() {
  // Commits that nobody waits for any more are under way, and what comes back refers to the database: wait for it
  // even if this task is cancelled. The disk bounds it.
  runtime::Context not_cancelled(env_);
  (void)co_await drain().under(not_cancelled);
  scope_.cancel();
  (void)co_await scope_.join();
  self_.reset();
  const auto close = [this] {
    committer_.reset();
    published_.reset();
    database_.reset();
  };
  if (!co_await runtime::offload(env_, close)) close();  // the pool is full: a short wait here then
}

}  // namespace

Task<Result<std::unique_ptr<KvStore>>> open_rocksdb_store(runtime::Env& env, RocksdbOptions options) {
  FF_CO_TRY_ASSIGN(auto opened, co_await runtime::offload(env, [&options] { return RocksdbDatabase::open(options); }));
  FF_CO_TRY_ASSIGN(auto database, std::move(opened));
  co_return std::unique_ptr<KvStore>(new RocksdbStore(env, options, std::move(database)));
}

}  // namespace ff::kv
