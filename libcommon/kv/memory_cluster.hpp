// MemoryCluster: the server side of the `memory` engine: a multi-version store in memory, with leases that expire,
// shared by the MemoryStore handles of several (simulated) nodes. It stands for a database that survives all of them.
//
// Threads    One. Handles may be of several Envs, if these run on one thread; what they are told of changes sets out by
//            Env::post().
// Ownership  Outlives its handles.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/resolver.hpp"
#include "libcommon/kv/watch_list.hpp"

namespace ff::kv {

class MemoryStore;

struct MemoryClusterOptions {
  std::uint64_t seed = 1;  // of the faults that handles inject
  // The servers' clock, by which leases expire; it must not be that of a node that can be killed.
  std::function<runtime::Time()> clock;
  Limits limits{.value_bytes_max = 1u << 20,
                .transaction_bytes_max = 16u << 20,
                .transaction_operations_max = 0,
                .data_bytes_max = 0,
                .note = "memory of this process"};
};

class MemoryCluster {
 public:
  // REQUIRES: options.clock.
  explicit MemoryCluster(MemoryClusterOptions options);
  ~MemoryCluster();
  MemoryCluster(const MemoryCluster&) = delete;
  MemoryCluster& operator=(const MemoryCluster&) = delete;

  // A handle for the tasks of `env`.
  std::unique_ptr<MemoryStore> connect(runtime::Env& env);
  Version last_version() const noexcept { return resolver_.last(); }

 private:
  friend class MemoryStore;
  friend class MemoryTransaction;
  friend class MemoryLease;

  struct Listener {
    explicit Listener(runtime::Env& e) : env(e) {}
    runtime::Env& env;
    MemoryStore* store = nullptr;  // which owns this
    WatchList watches;
  };
  struct Request {
    Version snapshot = 0;
    ReadSet reads;
    WriteSet writes;
    std::vector<LeaseGuard> guards;
  };
  struct LateRequest {
    runtime::Time due;
    Request request;  // its snapshot is pinned
  };
  struct Claim {
    std::uint64_t epoch = 0;  // of the last holder; stays when it is gone
    std::string holder;
    runtime::Time expires{};
  };
  using Chain = std::vector<std::pair<Version, std::optional<std::string>>>;  // oldest first

  // Every call first does what is due by now.
  void settle();

  Version pin_last();
  void pin(Version version) { pins_.insert(version); }
  void unpin(Version version) { pins_.erase(pins_.find(version)); }
  const std::string* value_at(const Chain& chain, Version version) const;
  std::optional<std::string> read(const std::string& key, Version version) const;
  RangeResult scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit, bool reverse,
                   Version version) const;
  Result<Commit> commit(const Request& request);
  void commit_later(runtime::Time due, Request request);
  Result<WriteSet> resolve_atomics(const WriteSet& writes) const;
  void apply(const WriteSet& writes, Version version);
  void put(const std::string& key, std::optional<std::string> value, Version version);
  void collect_garbage();
  void tell(std::shared_ptr<const WriteSet> writes, Version version);

  // The new epoch, or nothing and how long the present holder may still have it.
  struct ClaimResult {
    std::optional<std::uint64_t> epoch;
    runtime::Duration wait{};
  };
  ClaimResult claim(const std::string& name, const std::string& holder, runtime::Duration ttl);
  bool renew(const std::string& name, std::uint64_t epoch, runtime::Duration ttl);
  void give_up(const std::string& name, std::uint64_t epoch);
  bool is_current(const std::string& name, std::uint64_t epoch) const;
  std::optional<std::string> holder(const std::string& name) const;

  MemoryClusterOptions options_;
  Rng rng_;
  Resolver resolver_;
  std::map<std::string, Chain> data_;
  std::multiset<Version> pins_;
  std::multimap<Version, std::string> garbage_;  // keys with versions that nobody needs once this one is unpinned
  std::vector<LateRequest> late_;
  std::map<std::string, Claim> claims_;
  std::vector<std::weak_ptr<Listener>> listeners_;
};

}  // namespace ff::kv
