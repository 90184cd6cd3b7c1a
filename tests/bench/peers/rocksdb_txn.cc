// Peer: the 'create file' transaction (create_shape.hpp) on bare RocksDB, a thread a client.
//
// Engines: optimistic (OptimisticTransactionDB, checks at commit), pessimistic (TransactionDB, locks: shared on the
// parent, exclusive on the name), plain (two reads and one WriteBatch: no isolation, so an upper bound that no
// transactional store needs to reach). The driver compares with the faster of the first two.
//
// Settings, the best of those tried here: pipelined writes only where commits are not synced (a quarter more at 8
// clients; synced they cost as much at 64), memtables so large that no run waits for a flush, no compression (values
// are random), no statistics. Recycled log files measured no different and are left off.
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/utilities/optimistic_transaction_db.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/utilities/transaction_db.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "tests/bench/create_shape.hpp"
#include "tests/bench/load.hpp"

namespace ff::bench {
namespace {

struct Settings {
  std::string engine = "optimistic";
  std::string folder;
  std::int64_t clients = 1;
  double seconds = 5;
  bool no_sync = false;
};

Error store_error(const rocksdb::Status& status) { return Error(Errc::kIo, "RocksDB: " + status.ToString()); }

rocksdb::Options database_options(bool synced) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.enable_pipelined_write = !synced;
  options.write_buffer_size = 256 << 20;
  options.max_write_buffer_number = 6;
  options.compression = rocksdb::kNoCompression;
  options.IncreaseParallelism(static_cast<int>(std::max(2U, std::thread::hardware_concurrency())));
  return options;
}

// A commit that another transaction stands in the way of; every other failure ends the run.
bool is_conflict(const rocksdb::Status& status) {
  return status.IsBusy() || status.IsTimedOut() || status.IsTryAgain();
}

// One engine behind one call. Threads: create() from any.
class Store {
 public:
  explicit Store(const Settings& settings) : engine_(settings.engine) { write_.sync = !settings.no_sync; }

  Result<void> open(const std::string& folder) {
    rocksdb::Status status;
    if (engine_ == "optimistic") {
      rocksdb::OptimisticTransactionDB* db = nullptr;
      status = rocksdb::OptimisticTransactionDB::Open(database_options(write_.sync), folder, &db);
      optimistic_ = db;
      db_.reset(db);
    } else if (engine_ == "pessimistic") {
      rocksdb::TransactionDB* db = nullptr;
      status =
          rocksdb::TransactionDB::Open(database_options(write_.sync), rocksdb::TransactionDBOptions(), folder, &db);
      pessimistic_ = db;
      db_.reset(db);
    } else {
      rocksdb::DB* db = nullptr;
      status = rocksdb::DB::Open(database_options(write_.sync), folder, &db);
      db_.reset(db);
    }
    if (!status.ok()) return fail(store_error(status).context("open " + folder));
    return {};
  }

  Result<void> put(const std::string& key, const std::string& value) {
    const auto status = db_->Put(write_, key, value);
    if (!status.ok()) return fail(store_error(status));
    return {};
  }

  // The state of one client, reused by its transactions.
  struct Session {
    std::unique_ptr<rocksdb::Transaction> transaction;
    rocksdb::WriteBatch batch;
    std::string read;
  };

  // False after a conflict.
  Result<bool> create(Session& session, const CreateShape& shape, const std::string& value) {
    const auto status =
        engine_ == "plain" ? create_plain(session, shape, value) : create_in_transaction(session, shape, value);
    if (is_conflict(status)) return false;
    if (!status.ok()) return fail(store_error(status));
    return true;
  }

 private:
  static rocksdb::Status judge(const rocksdb::Status& parent, const rocksdb::Status& entry) {
    if (!parent.ok()) return parent;
    if (entry.ok()) return rocksdb::Status::Corruption("a name that was never written is there");
    return entry.IsNotFound() ? rocksdb::Status::OK() : entry;
  }

  rocksdb::Status create_plain(Session& session, const CreateShape& shape, const std::string& value) {
    const auto parent = db_->Get(rocksdb::ReadOptions(), shape.parent, &session.read);
    const auto entry = db_->Get(rocksdb::ReadOptions(), shape.entry, &session.read);
    if (auto verdict = judge(parent, entry); !verdict.ok()) return verdict;
    session.batch.Clear();
    for (const auto* key : {&shape.entry, &shape.inode, &shape.times})
      if (auto status = session.batch.Put(*key, value); !status.ok()) return status;
    return db_->Write(write_, &session.batch);
  }

  rocksdb::Status create_in_transaction(Session& session, const CreateShape& shape, const std::string& value) {
    rocksdb::Transaction* old = session.transaction.release();
    session.transaction.reset(optimistic_ != nullptr
                                  ? optimistic_->BeginTransaction(write_, rocksdb::OptimisticTransactionOptions(), old)
                                  : pessimistic_->BeginTransaction(write_, rocksdb::TransactionOptions(), old));
    rocksdb::Transaction& transaction = *session.transaction;
    const bool exclusive = true;
    const auto parent = transaction.GetForUpdate(rocksdb::ReadOptions(), shape.parent, &session.read, !exclusive);
    const auto entry = transaction.GetForUpdate(rocksdb::ReadOptions(), shape.entry, &session.read, exclusive);
    auto status = judge(parent, entry);
    if (status.ok()) status = transaction.Put(shape.entry, value);
    // Written blindly: nobody needs to know what was there.
    if (status.ok()) status = transaction.PutUntracked(shape.inode, value);
    if (status.ok()) status = transaction.PutUntracked(shape.times, value);
    if (status.ok()) return transaction.Commit();
    transaction.Rollback().PermitUncheckedError();
    return status;
  }

  const std::string engine_;
  rocksdb::WriteOptions write_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::OptimisticTransactionDB* optimistic_ = nullptr;  // one of these is db_, or none
  rocksdb::TransactionDB* pessimistic_ = nullptr;
};

struct ClientTally {
  LatencyHistogram latencies;
  std::uint64_t conflicts = 0;
  std::optional<Error> error;
};

Result<void> run_client(Store& store, std::int64_t client, Clock::time_point end, ClientTally& tally) {
  Store::Session session;
  const std::string value = create_value(static_cast<std::uint64_t>(client));
  auto begun = Clock::now();
  for (std::uint64_t sequence = 0; begun < end; ++sequence) {
    FF_TRY_ASSIGN(const bool committed, store.create(session, CreateShape(0, client, sequence), value));
    const auto now = Clock::now();
    if (committed) tally.latencies.record(now - begun);
    tally.conflicts += committed ? 0 : 1;
    begun = now;
  }
  return {};
}

Result<int> run(const Settings& settings) {
  Store store(settings);
  FF_TRY(store.open(settings.folder));
  for (std::int64_t i = 0; i < settings.clients; ++i) FF_TRY(store.put(CreateShape::parent_of(0, i), create_value(0)));

  std::vector<ClientTally> tallies(static_cast<std::size_t>(settings.clients));
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  const auto end = start + std::chrono::nanoseconds(static_cast<std::int64_t>(settings.seconds * 1e9));
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < tallies.size(); ++i)
      threads.emplace_back([&store, &tally = tallies[i], i, end] {
        if (auto done = run_client(store, static_cast<std::int64_t>(i), end, tally); !done) tally.error = done.error();
      });
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = cpu_seconds() - cpu_before;

  ClientTally all;
  for (ClientTally& tally : tallies) {
    if (tally.error) return fail(std::move(*tally.error));
    all.latencies.merge(tally.latencies);
    all.conflicts += tally.conflicts;
  }
  report::JsonWriter json;
  json.begin_object()
      .field("engine", std::string_view(settings.engine))
      .field("clients", settings.clients)
      .field("synced", !settings.no_sync)
      .field("transactions", all.latencies.count())
      .field("conflicts", all.conflicts)
      .field("seconds", elapsed)
      .field("transactions_per_second", static_cast<double>(all.latencies.count()) / elapsed)
      .field("cpu_seconds", cpu);
  write_latencies(json, all.latencies);
  json.end_object();
  FF_TRY(print_line(json.text()));
  return cli::kExitOk;
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff;
  bench::Settings settings;
  cli::Command root{.name = "rocksdb_txn", .summary = "'Create file' transactions on bare RocksDB, to compare with"};
  root.options = {
      {.names = "--engine",
       .target = &settings.engine,
       .help = "how transactions are isolated",
       .choices = {"optimistic", "pessimistic", "plain"}},
      {.names = "--dir",
       .target = &settings.folder,
       .help = "folder of the database; must not hold one",
       .required = true,
       .complete = "dir"},
      {.names = "--clients", .target = &settings.clients, .help = "threads that create files", .min = 1, .max = 1024},
      {.names = "--seconds", .target = &settings.seconds, .help = "duration of the load", .min = 0.01, .max = 3600},
      {.names = "--no-sync", .target = &settings.no_sync, .help = "leave commits in the page cache"}};
  root.run = [&settings] { return bench::run(settings); };
  return cli::run({.root = root}, argc, argv);
}
