// EtcdLeases: elections. Who creates the lease's key, bound to an etcd lease of its own, holds it until the key goes:
// by release(), or with the etcd lease when it is not renewed any more. The epoch is the revision that created the
// key.
//
// Clocks     etcd counts the time to live from when its leader heard of a grant or renewal, and anew after an election;
//            the holder counts from when it asked, and stops being sure an eighth early. Both count by clocks that do
//            not step.
// Threads    The Env's. Ownership: outlives its leases; the parts outlive it. The scope renews.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "libcommon/kv/etcd_client.hpp"
#include "libcommon/kv/etcd_keys.hpp"
#include "libcommon/kv/etcd_watches.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

class EtcdLeases {
 public:
  struct Parts {
    runtime::Env& env;
    EtcdClient& client;
    EtcdKeys& keys;
    EtcdWatches& watches;
    runtime::Scope& scope;
  };
  // `owner`: as BufferedTransaction::owner() of the store's transactions.
  EtcdLeases(const void* owner, Parts parts) : owner_(owner), parts_(parts) {}

  runtime::Task<Result<std::unique_ptr<Lease>>> acquire(std::string name, std::string holder, runtime::Duration ttl);
  runtime::Task<Result<std::optional<std::string>>> holder(std::string name);

 private:
  class Held;
  struct State;
  struct Claim {
    std::optional<std::uint64_t> epoch;  // none: somebody has it, as of `revision`
    Version revision = 0;
  };

  runtime::Task<Result<std::shared_ptr<State>>> campaign_once(std::string name, std::string holder,
                                                              runtime::Duration ttl);
  // REQUIRES: the etcd lease `id` is fresh; whatever comes of a claim in doubt, revoking it ends it.
  runtime::Task<Result<Claim>> claim(const std::string& name, const std::string& holder, std::int64_t id);
  runtime::Task<Result<Claim>> look(const std::string& name, std::int64_t id);
  runtime::Task<Result<>> wait_until_free(const std::string& name, Version since);
  void revoke_later(std::int64_t id);
  runtime::Task<void> keep(std::shared_ptr<State> lease);

  const void* owner_;
  Parts parts_;
};

}  // namespace ff::kv
