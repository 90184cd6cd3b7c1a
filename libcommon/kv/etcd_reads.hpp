// EtcdReads: reads of single keys for many transactions, several in one call. A read goes out at once when few calls
// are under way; else it waits for one of them to come back and leaves together with all that came meanwhile. So the
// first reads of transactions that begin at the same time share one linearizable read and its revision.
//
// Threads    The Env's. Ownership: client and scope outlive it; the scope's tasks carry the calls, so that a
//            transaction that is cancelled takes no other's read with it.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/kv/etcd_client.hpp"
#include "libcommon/kv/etcd_commit.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

class EtcdReads {
 public:
  EtcdReads(EtcdClient& client, runtime::Scope& scope, std::size_t members)
      : client_(client), scope_(scope), lanes_(members) {}

  struct Fresh {
    EtcdValue value;
    Version snapshot = 0;    // where it was read, not before the call
    std::size_t member = 0;  // which has that revision
  };
  // Keys by their names in etcd.
  runtime::Task<Result<Fresh>> fresh(std::string key);
  // As of a snapshot, at a member that is known to have it.
  runtime::Task<Result<EtcdValue>> at(std::string key, Version snapshot, std::size_t member);

 private:
  struct Request {
    std::string key;
    Version snapshot = 0;  // 0: fresh
    std::optional<std::size_t> member;
    runtime::Event done;
    Result<Fresh> result = Fresh();
  };
  using Batch = std::vector<std::shared_ptr<Request>>;
  struct Lane {
    std::deque<std::shared_ptr<Request>> waiting;
    unsigned calls = 0;
  };

  runtime::Task<Result<Fresh>> enqueue(Lane& lane, std::shared_ptr<Request> request);
  void send_waiting(Lane& lane);
  runtime::Task<void> carry(Lane& lane, Batch batch);
  runtime::Task<void> read_one(Request& request);
  runtime::Task<Result<>> read_all(const Batch& batch);

  EtcdClient& client_;
  runtime::Scope& scope_;
  Lane fresh_;
  std::vector<Lane> lanes_;  // one a member
};

}  // namespace ff::kv
