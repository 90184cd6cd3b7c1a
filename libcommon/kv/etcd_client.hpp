// EtcdClient: calls to the members of an etcd cluster, as tasks. gRPC's completion queue has a thread of its own; what
// completes there goes to the Env in batches, one post for all that came together.
//
// Members    Asked in turn; one that failed is left out for a while, longer each time. Calls go to members that have a
//            leader (others refuse). Commits go to the leader itself when it is known: that saves a hop. So do the
//            reads that take snapshots, by EtcdReads.
// Deadlines  Every call has one, and ends with its task's cancellation.
// Threads    The Env's. Ownership: the Env outlives it; stop() before the tasks that call it are gone is harmless:
//            their calls end with kCancelled.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "libcommon/kv/etcd_rpc.pb.h"
#include "libcommon/kv/etcd_status.hpp"
#include "libcommon/kv/etcd_store.hpp"

namespace ff::kv {

// The value that a member gave.
template <class Reply>
struct EtcdAnswer {
  Reply reply;
  std::size_t member = 0;
};

// A stream of watches at one member. A failure of any call ends it.
class EtcdWatchStream {
 public:
  virtual ~EtcdWatchStream() = default;  // ends it
  // One at a time each.
  virtual runtime::Task<Result<>> write(etcdserverpb::WatchRequest request) = 0;
  virtual runtime::Task<Result<etcdserverpb::WatchResponse>> read() = 0;

 protected:
  EtcdWatchStream() = default;
};

class EtcdClient {
 public:
  static std::unique_ptr<EtcdClient> create(runtime::Env& env, const EtcdOptions& options);
  virtual ~EtcdClient() = default;

  // Learns who is who. kUnavailable, kTimeout: no member answered.
  virtual runtime::Task<Result<>> connect() = 0;

  // Reads: tried at other members until call_timeout. `member`: the one to ask first.
  virtual runtime::Task<Result<EtcdAnswer<etcdserverpb::RangeResponse>>> range(
      etcdserverpb::RangeRequest request, std::optional<std::size_t> member = {}) = 0;
  // REQUIRES: the transaction only reads.
  virtual runtime::Task<Result<EtcdAnswer<etcdserverpb::TxnResponse>>> read(etcdserverpb::TxnRequest request,
                                                                            std::optional<std::size_t> member = {}) = 0;

  // Once, unless it was certainly not applied. None: the outcome is unknown. Errors: certainly not applied.
  virtual runtime::Task<Result<std::optional<etcdserverpb::TxnResponse>>> commit(etcdserverpb::TxnRequest request) = 0;

  // Repeated like reads: a lease too many runs out, one that is gone already is fine.
  virtual runtime::Task<Result<etcdserverpb::LeaseGrantResponse>> grant_lease(std::int64_t ttl_s) = 0;
  virtual runtime::Task<Result<>> revoke_lease(std::int64_t id) = 0;
  // False: the lease is gone. `attempt`: the longest that one member is waited for, within attempt_timeout.
  virtual runtime::Task<Result<bool>> renew_lease(std::int64_t id, runtime::Duration attempt) = 0;

  // At some member that seems to be well.
  virtual std::unique_ptr<EtcdWatchStream> open_watch_stream() = 0;

  // When it is known.
  virtual std::optional<std::size_t> leader() const = 0;
  virtual std::string describe() const = 0;
  virtual runtime::Task<void> stop() = 0;

 protected:
  EtcdClient() = default;
};

}  // namespace ff::kv
