// EtcdWatches: all watches of a store on one stream to some member. When the stream breaks, another is opened and each
// watch goes on after the last revision that it told of, so that nothing is missed. Where that revision has been
// compacted away, a change is told at the present one: something may have changed, and a watch only tells that.
//
// Threads    The Env's. Ownership: outlives its watches; the client and the scope outlive it. The scope runs it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "libcommon/kv/etcd_client.hpp"
#include "libcommon/kv/etcd_keys.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

class EtcdWatches {
 public:
  EtcdWatches(EtcdClient& client, runtime::Scope& scope) : client_(client), scope_(scope) {}

  // Tells of changes in commits later than `after`.
  std::unique_ptr<Watch> add(EtcdRange range, Version after);
  // Ends every wait, and those to come.
  void fail_all(const Error& why);

 private:
  class Entry;

  void request(Entry& entry);
  void removed(std::int64_t id);
  runtime::Task<void> run();
  runtime::Task<Result<>> write_requests(EtcdWatchStream& stream);
  runtime::Task<Result<>> read_answers(EtcdWatchStream& stream);
  void take(const etcdserverpb::WatchResponse& answer);

  EtcdClient& client_;
  runtime::Scope& scope_;
  std::map<std::int64_t, Entry*> entries_;  // by the id that etcd knows them by
  std::int64_t last_id_ = 0;
  std::deque<etcdserverpb::WatchRequest> requests_;
  runtime::Event requested_;
  bool running_ = false;
  std::optional<Error> failure_;
};

}  // namespace ff::kv
