// What a commit says to etcd: one transaction that compares everything that was read, and then writes.
//
//   key read       mod_revision == the one that was read (0: absent)
//   range read     mod_revision <= snapshot, for all keys that are in the range at commit: finds inserts and changes. A
//                  removed key is in no range any more, so removals are found
//                    exactly   by comparing each key that was read in the range, as for a key read; or, when that takes
//                              more comparisons than etcd allows,
//                    by marker every commit that removes keys also puts the marker of each key's first two bytes,
//                              or the wide marker; no marker of the range was put since the snapshot. False conflicts
//                              come from removals of other keys with these bytes. 65,792 markers at most, of some
//                              100 bytes.
//   lease guard    create_revision of the lease's key == its epoch
//   atomic         mod_revision of the operand == that of the value that was computed with
//   versionstamp   mod_revision of the stamps' key == the one before, so that stamped commits form one line
//
// Pure. Keys may be put or deleted only once in an etcd transaction, so that a range that is cleared is cut at the keys
// that are put into it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/etcd_keys.hpp"
#include "libcommon/kv/etcd_read_record.hpp"
#include "libcommon/kv/etcd_rpc.pb.h"

namespace ff::kv {

// etcd's --max-txn-ops and --max-request-bytes, as they are by default; the rest of a request's bytes is etcd's.
inline constexpr std::size_t kEtcdOperationsMax = 128;
inline constexpr std::size_t kEtcdRequestBytesMax = (3u << 19) - 1024;

// A key as it was at some revision.
struct EtcdValue {
  std::optional<std::string> value;
  std::int64_t revision = 0;  // of its last change; 0: absent
};
using EtcdValues = std::map<std::string, EtcdValue, std::less<>>;

struct EtcdCommit {
  std::optional<Version> snapshot;
  ReadSet reads;
  WriteSet writes;
  std::vector<LeaseGuard> guards;
  EtcdReadRecord record;
};

// The operands of atomics; versionstamps have the stamps' key as theirs. By their names in etcd.
std::vector<std::string> operands_of(const EtcdKeys& keys, const WriteSet& writes);

// `operands`: a value for each of operands_of(). `stamp`: the version for versionstamps. Its failure branch reads the
// operands anew, in order of operands_of().
// Errors  kExhausted: beyond etcd's limits; kInvalidArgument: an atomic over a value that is no number.
Result<etcdserverpb::TxnRequest> build_commit(const EtcdKeys& keys, const EtcdCommit& commit,
                                              const EtcdValues& operands, Version stamp);

}  // namespace ff::kv
