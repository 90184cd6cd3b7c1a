// CountedStore: a KvStore that counts what becomes of the transactions of another: commits, conflicts (each is a
// transaction that runs again), how many keys a commit writes, and how long it takes.
//
// Ownership  Owns the store that it wraps; the Env and the Registry outlive it. Leases that it gives guard its own
//            transactions only.
// Names      PREFIX_transactions_total{outcome}, PREFIX_transaction_writes, PREFIX_commit_seconds.
#pragma once

#include <memory>
#include <string>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/metrics/sharded.hpp"

namespace ff::metrics {
class Registry;
}

namespace ff::ffs {

// Of all transactions of a store.
struct TransactionCounts {
  metrics::Counter committed, conflicts, unknown, failed;
  metrics::Recorder writes, latency;  // of commits with writes
};

class CountedStore final : public kv::KvStore {
 public:
  CountedStore(runtime::Env& env, std::unique_ptr<kv::KvStore> store, metrics::Registry& registry,
               const std::string& prefix);

  std::unique_ptr<kv::Transaction> begin() override;
  kv::Limits limits() const override { return store_->limits(); }
  runtime::Task<Result<std::unique_ptr<kv::Watch>>> watch(kv::KeyRange range, kv::Version after) override;
  runtime::Task<Result<std::unique_ptr<kv::Lease>>> acquire_lease(std::string name, std::string holder,
                                                                  runtime::Duration ttl) override;
  runtime::Task<Result<std::optional<std::string>>> current_holder(std::string name) override;
  std::string describe() const override { return store_->describe(); }
  runtime::Task<void> stop() override;

 private:
  runtime::Env& env_;
  std::unique_ptr<kv::KvStore> store_;
  TransactionCounts counts_;
};

}  // namespace ff::ffs
