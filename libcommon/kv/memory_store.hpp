// MemoryStore: one node's handle on a MemoryCluster: the `memory` engine of kv_store.hpp, for simulation and tests.
// Each handle can be made slow, unreachable, or unsure of its commits.
//
// Threads    Those of its Env. Ownership: the MemoryCluster and the Env outlive it.
// Kill       A handle that is destroyed with its node releases nothing: its leases run out by the cluster's clock.
#pragma once

#include <deque>

#include "libcommon/kv/memory_cluster.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

// What is to happen to the next commit of a handle, once.
enum class NextCommit : std::uint8_t { kUsual, kMaybeApplied, kMaybeLost };

// Shares are probabilities from 0 to 1, drawn from the cluster's seed.
struct MemoryFaults {
  double conflict = 0;         // of commits that end with kConflict without a reason
  double maybe_committed = 0;  // of commits that end with kMaybeCommitted
  double maybe_applied = 0.5;  // of those: were applied
  double maybe_late = 0.5;     // of those that were applied: only up to `late_max` later
  runtime::Duration late_max = std::chrono::milliseconds(100);
  runtime::Duration delay_min{};  // of every message, each way, and of news for watches
  runtime::Duration delay_max{};
  double outage = 0;  // of calls at which the cluster becomes unreachable for up to `outage_max`
  runtime::Duration outage_max = std::chrono::seconds(1);
  NextCommit next_commit = NextCommit::kUsual;
  runtime::Time unreachable_until{};  // by the handle's Env; kNever: until changed. Watches hear nothing meanwhile
};

class MemoryStore final : public KvStore {
 public:
  ~MemoryStore() override;

  // May be changed at any time.
  MemoryFaults& faults() noexcept { return faults_; }

  std::unique_ptr<Transaction> begin() override;
  Limits limits() const override { return cluster_.options_.limits; }
  runtime::Task<Result<std::unique_ptr<Watch>>> watch(KeyRange range, Version after) override;
  runtime::Task<Result<std::unique_ptr<Lease>>> acquire_lease(std::string name, std::string holder,
                                                              runtime::Duration ttl) override;
  runtime::Task<Result<std::optional<std::string>>> current_holder(std::string name) override;
  std::string describe() const override;
  runtime::Task<void> stop() override;

 private:
  friend class MemoryCluster;
  friend class MemoryTransaction;
  friend class MemoryLease;
  struct LeaseState;

  MemoryStore(MemoryCluster& cluster, runtime::Env& env, std::shared_ptr<MemoryCluster::Listener> listener);

  bool roll(double share) noexcept { return share > 0 && cluster_.rng_.uniform() < share; }
  runtime::Duration random_up_to(runtime::Duration bound) noexcept;
  // One message's way, to the cluster or back.
  runtime::Task<Result<>> travel();
  // To the cluster, if it can be reached.
  runtime::Task<Result<>> reach();
  // From the cluster, as soon as it can be reached.
  runtime::Task<Result<>> arrive();
  // A change that watches may be about sets out, behind the earlier ones.
  void hear(std::shared_ptr<const WriteSet> writes, Version version);
  runtime::Task<void> tell_watches();
  runtime::Task<Result<Commit>> commit(MemoryCluster::Request request);
  // What a commit does whose outcome will not be known.
  void commit_unsurely(MemoryCluster::Request request);
  runtime::Task<Result<>> settle_after(runtime::Duration wait);
  runtime::Task<Result<bool>> renew(std::shared_ptr<LeaseState> lease);
  runtime::Task<void> keep(std::shared_ptr<LeaseState> lease);

  MemoryCluster& cluster_;
  runtime::Env& env_;
  std::shared_ptr<MemoryCluster::Listener> listener_;
  MemoryFaults faults_;
  struct News {
    std::shared_ptr<const WriteSet> writes;
    Version version = 0;
  };
  std::deque<News> news_;  // on their way; a task of the scope runs as long as there are any
  runtime::Scope scope_;
};

}  // namespace ff::kv
