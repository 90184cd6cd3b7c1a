// What a failed call to etcd means: may it have happened, may another member be asked, what is told to the caller.
//
// Source     etcd 3.4 api/v3rpc/rpctypes/error.go and etcdserver/v3_server.go: which errors come before a request is
//            proposed to Raft, and which while it waits for the outcome. Messages that are not known here count as
//            unknown outcomes. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/base/result.hpp"

namespace ff::kv {

// gRPC's status codes, which are fixed by its protocol.
struct EtcdFailure {
  int code = 0;  // 0: none
  std::string message;
};

enum class EtcdMeaning : std::uint8_t {
  kNotApplied,  // for certain; another member may do better
  kUnknown,     // a write may have happened, or may still
  kFuture,      // a read: this member has not got so far; for certain not applied
  kCompacted,   // a read: the revision is gone
  kRefused,     // for certain not applied, and it would be the same again
};

// Of a call that is not a transaction that writes.
EtcdMeaning meaning_of(const EtcdFailure& failure);
// Of a transaction that writes. A database that is full is told of before the transaction is proposed, but also, in the
// same words, after it was applied: quotaApplierV3.Txn() in etcdserver/apply.go.
EtcdMeaning meaning_of_commit(const EtcdFailure& failure);
// The database is full, until somebody makes room and clears the alarm.
bool is_out_of_space(const EtcdFailure& failure);
// "127.0.0.1:2379: etcdserver: ... (advice)".
Error etcd_error(const std::string& endpoint, const EtcdFailure& failure);

}  // namespace ff::kv
