// RocksdbDatabase: the blocking half of the `rocksdb` engine: files, snapshots, durable rounds of commits. Hides
// RocksDB.
//
// Threads    write_round() by one thread at a time; everything else by any thread, at any time.
// Ownership  Outlives its snapshots.
// Errors     kNotFound, kPermission, kUnavailable (open in another process), kCorrupt, kExhausted (disk full), kIo;
// each
//            begins with the store's path.
// Files      Column family `default` holds the users' keys and values as they are, `meta` holds store_record.hpp's
//            records under "format", "version" and "lease/NAME".
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "libcommon/kv/rocksdb_options.hpp"
#include "libcommon/kv/write_set.hpp"

namespace ff::kv {

class RocksdbDatabase {
 public:
  class Snapshot {
   public:
    virtual ~Snapshot() = default;
    const Version version;

   protected:
    explicit Snapshot(Version v) noexcept : version(v) {}
  };
  using SnapshotPtr = std::shared_ptr<const Snapshot>;

  // Where a read may look and a write may go: kMemory never waits for the disk.
  enum class Tier : std::uint8_t { kMemory, kAll };

  // One commit of a round.
  struct RoundEntry {
    const WriteSet* writes = nullptr;
    Version version = 0;
    Result<> outcome = {};  // an error: this commit alone cannot be done, and was not
  };

  static Result<std::unique_ptr<RocksdbDatabase>> open(const RocksdbOptions& options);
  virtual ~RocksdbDatabase() = default;

  // Of the last commit when it was opened.
  virtual Version version_at_open() const noexcept = 0;
  // Of everything written so far, which must be the commits up to `version`.
  virtual SnapshotPtr take_snapshot(Version version) = 0;

  // Empty: not in memory, ask again with kAll.
  virtual Result<std::optional<std::optional<std::string>>> get(const Snapshot& snapshot, const std::string& key,
                                                                Tier tier) = 0;
  // REQUIRES: the range is not empty, limit > 0.
  virtual Result<std::optional<RangeResult>> scan(const Snapshot& snapshot, const KeyRange& range, std::size_t limit,
                                                  std::size_t bytes_limit, bool reverse, Tier tier) = 0;

  // Applies the commits in order, atomically, and returns when they are durable (as durable as RocksdbOptions::sync
  // asks). After an error nothing is known about them, and the database must not be written any more. False: it would
  // have waited for the disk, and nothing was done; ask again with kAll, which never says so. kMemory is for stores
  // that do not sync, and outcomes of entries that it leaves behind mean nothing.
  virtual Result<bool> write_round(std::span<RoundEntry> entries, Tier tier) = 0;
  // One more than the last, durable.
  virtual Result<std::uint64_t> next_lease_epoch(const std::string& name) = 0;

 protected:
  RocksdbDatabase() = default;
};

}  // namespace ff::kv
