// KvStore: ordered keys, byte values, transactions that are strictly serializable. Shaped after FoundationDB, so that
// it and TiKV fit; engines here: `rocksdb` (embedded, one process), `etcd` (distributed), `memory` (simulation).
//
// Model      A transaction reads one snapshot (taken at its first read) and buffers its writes; its own reads see them.
//            commit() succeeds only if nothing that it read in conflicting mode, keys and ranges, absent keys included,
//            was changed by a transaction that committed since the snapshot. A transaction without writes always
//            commits, at its snapshot.
// Outcome    kCommitted: durable. kConflict: nothing happened; run again from the start. kMaybeCommitted: it may or may
//            not have happened, now or a little later: run again only if that is harmless (put an idempotency key of
//            your own among the reads and writes). transact() is the retry loop. A task that is cancelled while its
//            commit is under way gets kMaybeCommitted; an error of commit() means that nothing happened.
// Errors     kExhausted: beyond limits() (how to split is in the message); kUnavailable / kTimeout: engine not reached;
//            kCorrupt: stored bytes failed a check; kInvalidArgument: key or value too long, empty key.
// Order      Keys compare as unsigned bytes. Ranges are half open [begin, end); an empty end means "to the last key".
// Threads    Those of the Env it was opened with. A Transaction is used by one task at a time.
// Ownership  The KvStore outlives its transactions, watches, leases.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::kv {

inline constexpr std::size_t kKeyBytesMax = 4096;

struct KeyRange {
  std::string begin;
  std::string end;  // empty: no upper bound
};
// All keys that start with `prefix`.
KeyRange prefix_range(std::string_view prefix);

struct KeyValue {
  std::string key;
  std::string value;
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

// Grows with every commit of the store; 0 is before all.
using Version = std::uint64_t;

// Reads in kSnapshot mode are not checked at commit.
enum class Read : std::uint8_t { kConflicting, kSnapshot };

struct RangeOptions {
  std::size_t limit = 1000;            // pairs; at least 1
  std::size_t bytes_limit = 1u << 20;  // of keys and values, but at least one pair
  bool reverse = false;                // from the end of the range
  Read mode = Read::kConflicting;      // conflicting: only the part of the range that was returned (and its gaps)
};
struct RangeResult {
  std::vector<KeyValue> pairs;
  bool more = false;  // a limit ended it
};

// Operand and value are little-endian unsigned, 8 bytes; an absent value is 0. Applied at commit without a read
// conflict. kAdd wraps.
enum class Atomic : std::uint8_t { kAdd, kMax, kMin };

enum class Outcome : std::uint8_t { kCommitted, kConflict, kMaybeCommitted };
struct Commit {
  Outcome outcome = Outcome::kConflict;
  Version version = 0;  // when committed and there were writes
};

class Transaction {
 public:
  virtual ~Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  virtual runtime::Task<Result<std::optional<std::string>>> get(std::string key, Read mode = Read::kConflicting) = 0;
  virtual runtime::Task<Result<RangeResult>> get_range(KeyRange range, RangeOptions options = {}) = 0;
  // Where the snapshot was taken (takes it).
  virtual runtime::Task<Result<Version>> read_version() = 0;

  // Buffered; a bad key or value is reported by commit().
  virtual void set(std::string key, std::string value) = 0;
  virtual void clear(std::string key) = 0;
  virtual void clear_range(KeyRange range) = 0;
  virtual void atomic(Atomic operation, std::string key, std::uint64_t operand) = 0;
  // Sets prefix + versionstamp + suffix, where the stamp is 10 bytes, big-endian: 8 of the commit's version, 2 of the
  // order within it (the order of these calls). Stamps of later commits compare greater.
  virtual void set_versionstamped_key(std::string prefix, std::string suffix, std::string value) = 0;
  virtual void add_read_conflict(KeyRange range) = 0;

  // Once. The transaction is finished afterwards, whatever the outcome.
  virtual runtime::Task<Result<Commit>> commit() = 0;

 protected:
  Transaction() = default;
};

// What an engine can take; printed by tools, checked by commit().
struct Limits {
  std::size_t value_bytes_max = 0;
  std::size_t transaction_bytes_max = 0;       // keys and values written
  std::size_t transaction_operations_max = 0;  // writes plus read conflicts; 0: none
  std::uint64_t data_bytes_max = 0;            // of the whole store; 0: the disk
  std::string note;                            // what that means in files, for people
};

// Tells that something in a range changed; not what. Changes are never missed, but several may be told as one.
class Watch {
 public:
  virtual ~Watch() = default;
  // Returns when a commit later than the last returned version (first: the version given to watch()) has changed the
  // range; gives a version at which the change can be read.
  virtual runtime::Task<Result<Version>> changed() = 0;

 protected:
  Watch() = default;
};

// A claim that ends by itself when its holder stops renewing it (it renews in the background until released).
class Lease {
 public:
  virtual ~Lease() = default;
  // False once the holder can no longer be sure; conservative: by this node's monotonic clock, early by a margin.
  virtual bool held() const noexcept = 0;
  // Returns when it was lost (never held again).
  virtual runtime::Task<void> lost() = 0;
  // Adds to `transaction` the check that the lease is still held, so that it commits only if it is: fencing.
  virtual runtime::Task<Result<>> guard(Transaction& transaction) = 0;
  virtual runtime::Task<Result<>> release() = 0;
  // Grows with every holder of the name: a fencing token for what is not a KvStore.
  virtual std::uint64_t epoch() const noexcept = 0;

 protected:
  Lease() = default;
};

class KvStore {
 public:
  virtual ~KvStore() = default;
  KvStore(const KvStore&) = delete;
  KvStore& operator=(const KvStore&) = delete;

  virtual std::unique_ptr<Transaction> begin() = 0;
  virtual Limits limits() const = 0;
  virtual runtime::Task<Result<std::unique_ptr<Watch>>> watch(KeyRange range, Version after) = 0;
  // Campaigns for the lease `name` until it is held or the context is cancelled; `holder` is what current_holder()
  // tells others, up to 4 KiB. `ttl` is how long it outlives a dead holder, at least 1 s.
  virtual runtime::Task<Result<std::unique_ptr<Lease>>> acquire_lease(std::string name, std::string holder,
                                                                      runtime::Duration ttl) = 0;
  virtual runtime::Task<Result<std::optional<std::string>>> current_holder(std::string name) = 0;
  // For status pages: "rocksdb /var/lib/x", "etcd 3 members, leader ...".
  virtual std::string describe() const = 0;
  // Ends background work; REQUIRES: transactions, watches and leases are gone.
  virtual runtime::Task<void> stop() = 0;

 protected:
  KvStore() = default;
};

struct TransactOptions {
  runtime::Duration timeout = std::chrono::seconds(10);
  bool retry_maybe_committed = false;  // true: running the body again after it may have committed is harmless
};

// Runs `body` (Task<Result<T>>(Transaction&)) and commits, again after conflicts with jittered back-off, until the
// timeout. kMaybeCommitted without the option becomes Errc::kUnavailable "outcome unknown".
template <class Body>
auto transact(runtime::Env& env, KvStore& store, TransactOptions options, Body body)
    -> std::invoke_result_t<Body&, Transaction&>;

}  // namespace ff::kv

#include "libcommon/kv/transact.hpp"
