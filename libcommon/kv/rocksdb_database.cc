#include "libcommon/kv/rocksdb_database.hpp"

#include <fmt/core.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <mutex>
#include <unordered_map>

#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/rocksdb_open.hpp"
#include "libcommon/kv/store_record.hpp"

namespace ff::kv {

namespace {

class DatabaseSnapshot final : public RocksdbDatabase::Snapshot {
 public:
  DatabaseSnapshot(Version version, rocksdb::DB& db) : Snapshot(version), db_(db), snapshot_(db.GetSnapshot()) {}
  ~DatabaseSnapshot() override { db_.ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* get() const noexcept { return snapshot_; }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
};

// The values, in the middle of a round, of the keys that atomic operations of the round are about.
class RoundValues {
 public:
  explicit RoundValues(std::span<const RocksdbDatabase::RoundEntry> entries) {
    for (const auto& entry : entries) {
      for (const auto& [key, write] : entry.writes->points()) {
        if (write.kind == PointWrite::Kind::kAtomic) values_.try_emplace(key);
      }
    }
  }
  // Empty: as the database has it.
  std::optional<std::optional<std::string>>& of(const std::string& key) { return values_.at(key); }
  void note(const WriteSet& writes) {
    if (values_.empty()) return;
    if (!writes.cleared().empty()) {
      for (auto& [key, value] : values_) {
        if (writes.is_cleared(key)) value = std::optional<std::string>();
      }
    }
    for (const auto& [key, write] : writes.points()) {
      const auto found = values_.find(key);
      if (found == values_.end()) continue;
      if (write.kind == PointWrite::Kind::kSet) found->second = std::optional(write.value);
      if (write.kind == PointWrite::Kind::kClear) found->second = std::optional<std::string>();
    }
  }

 private:
  std::unordered_map<std::string, std::optional<std::optional<std::string>>> values_;
};

// Greater than every key.
const std::string& beyond_all_keys() {
  static const std::string key(kKeyBytesMax + 1, '\xff');
  return key;
}

class Database final : public RocksdbDatabase {
 public:
  Database(const RocksdbOptions& options, OpenedRocksdb opened)
      : path_(options.path), opened_(std::move(opened)), db_(*opened_.db) {
    durable_.sync = options.sync;
  }
  Version version_at_open() const noexcept override { return opened_.version; }
  SnapshotPtr take_snapshot(Version version) override { return std::make_shared<DatabaseSnapshot>(version, db_); }

  Result<std::optional<std::optional<std::string>>> get(const Snapshot& snapshot, const std::string& key,
                                                        Tier tier) override {
    std::string value;
    const rocksdb::Status status = db_.Get(read_options(snapshot, tier), opened_.data.get(), key, &value);
    if (status.ok()) return std::optional(std::optional(std::move(value)));
    if (status.IsNotFound()) return std::optional(std::optional<std::string>());
    if (status.IsIncomplete()) return std::nullopt;
    return fail(rocksdb_error(path_, status));
  }

  Result<std::optional<RangeResult>> scan(const Snapshot& snapshot, const KeyRange& range, std::size_t limit,
                                          std::size_t bytes_limit, bool reverse, Tier tier) override {
    rocksdb::ReadOptions how = read_options(snapshot, tier);
    const rocksdb::Slice begin(range.begin);
    const rocksdb::Slice end(range.end);
    how.iterate_lower_bound = &begin;
    if (!range.end.empty()) how.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> at(db_.NewIterator(how, opened_.data.get()));
    RangeResult result;
    std::size_t bytes = 0;
    for (reverse ? at->SeekToLast() : at->SeekToFirst(); at->Valid(); reverse ? at->Prev() : at->Next()) {
      bytes += at->key().size() + at->value().size();
      result.more = !result.pairs.empty() && (result.pairs.size() >= limit || bytes > bytes_limit);
      if (result.more) break;
      result.pairs.push_back({at->key().ToString(), at->value().ToString()});
    }
    if (at->status().IsIncomplete()) return std::nullopt;
    if (!at->status().ok()) return fail(rocksdb_error(path_, at->status()));
    return result;
  }

  Result<bool> write_round(std::span<RoundEntry> entries, Tier tier) override {
    rocksdb::WriteBatch batch;
    RoundValues values(entries);
    for (RoundEntry& entry : entries) {
      FF_TRY_ASSIGN(const auto results, resolve_atomics(entry, values, tier));
      if (!results) return false;
      if (!entry.outcome) continue;
      FF_TRY(append(batch, entry, *results));
      values.note(*entry.writes);
      for (const auto& [key, value] : *results) values.of(key) = std::optional(value);
    }
    const std::string version = encode_record(RecordKind::kLastVersion, entries.back().version);
    FF_TRY(check(batch.Put(opened_.meta.get(), kVersionKey, version)));
    rocksdb::WriteOptions how = durable_;
    how.no_slowdown = tier == Tier::kMemory;
    const rocksdb::Status status = db_.Write(how, &batch);
    if (status.IsIncomplete()) return false;
    FF_TRY(check(status));
    return true;
  }

  Result<std::uint64_t> next_lease_epoch(const std::string& name) override {
    const std::lock_guard lock(epochs_);
    const std::string key = kLeaseKeyPrefix + name;
    std::string bytes;
    std::uint64_t last = 0;
    const rocksdb::Status status = db_.Get(rocksdb::ReadOptions(), opened_.meta.get(), key, &bytes);
    if (status.ok()) {
      auto record = decode_record(RecordKind::kLeaseEpoch, bytes);
      if (!record) return fail(std::move(record).error().context(fmt::format("{}: meta key '{}'", path_, key)));
      last = *record;
    } else if (!status.IsNotFound()) {
      return fail(rocksdb_error(path_, status));
    }
    FF_TRY(check(db_.Put(durable_, opened_.meta.get(), key, encode_record(RecordKind::kLeaseEpoch, last + 1))));
    return last + 1;
  }

 private:
  using AtomicResults = std::vector<std::pair<std::string, std::string>>;

  Result<> check(const rocksdb::Status& status) const {
    if (status.ok()) return {};
    return fail(rocksdb_error(path_, status));
  }

  static rocksdb::ReadOptions read_options(const Snapshot& snapshot, Tier tier) {
    rocksdb::ReadOptions how;
    how.snapshot = static_cast<const DatabaseSnapshot&>(snapshot).get();
    how.read_tier = tier == Tier::kMemory ? rocksdb::kBlockCacheTier : rocksdb::kReadAllTier;
    return how;
  }

  // What the entry's atomic operations give; empty: not in memory. An operation that cannot be done becomes the
  // entry's outcome.
  Result<std::optional<AtomicResults>> resolve_atomics(RoundEntry& entry, RoundValues& values, Tier tier) {
    AtomicResults results;
    rocksdb::ReadOptions latest;
    latest.read_tier = tier == Tier::kMemory ? rocksdb::kBlockCacheTier : rocksdb::kReadAllTier;
    for (const auto& [key, write] : entry.writes->points()) {
      if (write.kind != PointWrite::Kind::kAtomic) continue;
      auto& present = values.of(key);
      if (!present) {
        std::string stored;
        const rocksdb::Status status = db_.Get(latest, opened_.data.get(), key, &stored);
        if (status.IsIncomplete()) return std::nullopt;
        if (!status.ok() && !status.IsNotFound()) return fail(rocksdb_error(path_, status));
        present = status.ok() ? std::optional(std::move(stored)) : std::nullopt;
      }
      auto value = apply_atomics(key, *present, write.atomics);
      if (!value) {
        entry.outcome = std::unexpected(std::move(value).error());
        return AtomicResults();
      }
      results.emplace_back(key, *std::move(value));
    }
    return results;
  }

  Result<> append(rocksdb::WriteBatch& batch, const RoundEntry& entry, const AtomicResults& results) {
    rocksdb::ColumnFamilyHandle* data = opened_.data.get();
    for (const auto& [begin, end] : entry.writes->cleared()) {
      FF_TRY(check(batch.DeleteRange(data, begin, end.empty() ? beyond_all_keys() : end)));
    }
    for (const auto& [key, write] : entry.writes->points()) {
      if (write.kind == PointWrite::Kind::kSet) FF_TRY(check(batch.Put(data, key, write.value)));
      if (write.kind == PointWrite::Kind::kClear) FF_TRY(check(batch.Delete(data, key)));
    }
    for (const auto& [key, value] : results) FF_TRY(check(batch.Put(data, key, value)));
    std::uint16_t order = 0;
    for (const StampedKey& stamped : entry.writes->stamped()) {
      FF_TRY(check(batch.Put(data, stamped.key(entry.version, order++), stamped.value)));
    }
    return {};
  }

  std::string path_;
  OpenedRocksdb opened_;
  rocksdb::DB& db_;
  rocksdb::WriteOptions durable_;
  std::mutex epochs_;  // guards reading and writing an epoch as one
};

}  // namespace

Result<std::unique_ptr<RocksdbDatabase>> RocksdbDatabase::open(const RocksdbOptions& options) {
  FF_TRY_ASSIGN(OpenedRocksdb opened, open_rocksdb(options));
  return std::make_unique<Database>(options, std::move(opened));
}

}  // namespace ff::kv
