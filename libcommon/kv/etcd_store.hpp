// The `etcd` engine of kv_store.hpp: distributed. Data, leases and elections of one namespace (a prefix) of an etcd
// cluster.
//
// Versions   etcd revisions: of the whole cluster, so they also grow by what others do there.
// Reads      The snapshot is the revision of one linearizable read; concurrently beginning transactions share that
//            read, and the first get() of a transaction rides on it. Later reads ask one member for that revision. A
//            reverse range costs the members the whole range, whatever the limit.
// Commits    One etcd transaction: comparisons of what was read, then the writes. Exact for keys, and for ranges as
//            long as all keys that were read fit into the comparisons; beyond it, a range conflicts with every removal
//            of a key that begins with the same two bytes (see etcd_commit.hpp). A key that was absent, made and
//            removed again meanwhile is no conflict: it is read as it stands at the commit.
// Atomics    and versionstamps compare and retry inside commit(): those on one key run one after another, about one for
//            each round trip of the cluster (some milliseconds), whatever the number of clients. Do not put a hot
//            counter here.
// Stamps     grow strictly in the order of the stamped commits, and lie above every version that was readable when they
//            were made. The revision at which etcd applied the commit may be greater than its stamp when others
//            committed at the same moment: follow a queue by its last stamp seen, not by read_version().
// Outcome    kMaybeCommitted when a commit was sent and no answer came within `commit_timeout`: also when its leader
//            died. A commit whose task is cancelled waits up to 200 ms more for its outcome.
// Leases     etcd's: at least 2 s there (it rounds shorter ones up); held() goes by the time to live that was asked
//            for.
// Cluster    needs --auto-compaction-mode=periodic with a retention longer than the longest transaction (5m), and
//            --quota-backend-bytes for the data: the default is 2 GiB, 8 GiB is what etcd's authors advise at most. A
//            full cluster ends commits with kMaybeCommitted, because etcd says so in the same words before and after it
//            has applied them; describe() says that it is full. Not spoken: etcd users and passwords, TLS. Keep its
//            ports in a network that only trusted machines reach.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

struct EtcdOptions {
  std::vector<std::string> endpoints;  // host:port of each member
  std::string prefix;  // the namespace: 1 to 256 bytes without zero bytes, the same for all of one cluster
  runtime::Duration attempt_timeout =
      std::chrono::milliseconds(1500);                         // one try of a read, before another member is asked
  runtime::Duration call_timeout = std::chrono::seconds(10);   // of a read or a lease's call, all tries
  runtime::Duration commit_timeout = std::chrono::seconds(4);  // then the outcome is unknown
};

// Connects. Errors: kInvalidArgument (options), kUnavailable or kTimeout (no member answers within call_timeout),
// kUnsupported (this build is without etcd).
runtime::Task<Result<std::unique_ptr<KvStore>>> open_etcd_store(runtime::Env& env, EtcdOptions options);

}  // namespace ff::kv
