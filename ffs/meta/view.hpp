// View: the namespace as one transaction sees and changes it, in its own words: inodes, entries, sessions, counters.
//
// Conflicts  Everything is read in conflicting mode unless said otherwise, so operations are strictly serializable.
// What
//            would make a hot spot is never read so, and written without being read: the times of a directory and the
//            number of directories in it (keys of their own, by atomics), quota usage, counters. So two creates in one
//            directory do not conflict: both only read its inode.
// Errors     is_posix(): an answer (no such inode, ...). Others: the store's.
// Ownership  The transaction and what the options refer to outlive it. Threads: one task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ffs/format/types.hpp"
#include "ffs/meta/keys.hpp"
#include "ffs/meta/records.hpp"
#include "libcommon/kv/kv_store.hpp"

namespace ff::ffs {

inline constexpr unsigned kCounterShards = 16;

struct Inode {
  InodeId id{};
  InodeRecord record;

  bool is_directory() const noexcept { return record.type() == DIRECTORY; }
  bool is_file() const noexcept { return record.type() == REGULAR; }
  bool is_symlink() const noexcept { return record.type() == SYMLINK; }
};

class View {
 public:
  // `now`: nanoseconds since 1970. `checked_reads_max`: of intermediate parts of paths, 0: all; what a transaction of
  // the engine can take (reads beyond are made at the snapshot).
  View(kv::Transaction& transaction, std::int64_t now, Rng& rng, std::size_t checked_reads_max)
      : transaction_(transaction), now_(now), rng_(rng), checked_reads_max_(checked_reads_max) {}

  std::int64_t now() const noexcept { return now_; }
  kv::Transaction& transaction() noexcept { return transaction_; }
  std::uint64_t random() noexcept { return rng_.next() | 1; }
  // The mode for the next intermediate read.
  kv::Read passing() noexcept;

  runtime::Task<Result<std::optional<Inode>>> find(InodeId id, kv::Read mode = kv::Read::kConflicting);
  // ESTALE when it is not there.
  runtime::Task<Result<Inode>> inode(InodeId id, kv::Read mode = kv::Read::kConflicting);
  runtime::Task<Result<std::optional<DirentRecord>>> entry(InodeId parent, std::string name,
                                                           kv::Read mode = kv::Read::kConflicting);
  // What an entry names: kCorrupt when it is not there.
  runtime::Task<Result<Inode>> inode_of(InodeId parent, std::string name, DirentRecord entry,
                                        kv::Read mode = kv::Read::kConflicting);
  runtime::Task<Result<bool>> is_empty(InodeId directory);
  // Of a directory with a quota of its own: does anything but itself count in it?
  runtime::Task<Result<bool>> has_charges(Inode directory);
  runtime::Task<Result<bool>> has_sessions(InodeId file, bool writing_only);
  runtime::Task<Result<Attributes>> attributes(Inode inode);

  // Writes the record.
  void put(Inode& inode);
  // The same, as changed now.
  void change(Inode& inode);
  // The entry, and what goes with it: times of the parent, number of directories, of trash.
  void add_entry(const Inode& parent, const std::string& name, const Inode& child);
  void remove_entry(const Inode& parent, const std::string& name, const Inode& child);
  // A new inode: its counters and quota too.
  void create(Inode& inode);
  // Its record and all that hangs at it, counters and quota. REQUIRES: no entry names it, it has no entries.
  void destroy(const Inode& inode);
  // Changes the size in the record and in the quota.
  void resize(Inode& inode, std::uint64_t size);
  // Makes it garbage, to be destroyed after `delay`.
  void discard(const Inode& inode, const GarbageRecord& garbage, runtime::Duration delay);
  // One name less; at the last it becomes garbage, with `delay`.
  void drop_link(Inode& inode, runtime::Duration delay);
  // Takes bytes and a file (or gives back: wraps) on the quota of `project`.
  void charge(std::uint64_t project, std::uint64_t bytes, std::uint64_t files);
  // EDQUOT when so much more would pass a limit, as far as the snapshot knows: operations under way are not seen.
  runtime::Task<Result<>> check_quota(std::uint64_t project, std::uint64_t bytes, std::uint64_t files);
  // What is left of the limit of bytes that the file counts in, as far as the snapshot knows; nothing: there is none.
  runtime::Task<Result<std::optional<QuotaLeft>>> quota_left(Inode file);
  runtime::Task<Result<std::uint64_t>> count_at(std::string key);

  runtime::Task<Result<std::optional<std::string>>> get(std::string key, kv::Read mode = kv::Read::kConflicting);
  runtime::Task<Result<kv::RangeResult>> range(kv::KeyRange range, kv::RangeOptions options);

 private:
  void count(keys::Count what, std::int64_t by);
  void count_inode(const Inode& inode, std::int64_t by);
  void touch_directory(const Inode& directory);

  kv::Transaction& transaction_;
  const std::int64_t now_;
  Rng& rng_;
  const std::size_t checked_reads_max_;
  std::size_t passed_ = 0;
};

// Without what only the store knows of directories, and without the content of a small file: many may see attributes
// who may not read.
Attributes attributes_of(const Inode& inode);
// With it, for who may read or write the file.
Attributes with_content(const Inode& inode);

}  // namespace ff::ffs
