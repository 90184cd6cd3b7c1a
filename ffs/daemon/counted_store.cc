#include "ffs/daemon/counted_store.hpp"

#include <utility>

#include "libcommon/metrics/registry.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

class CountedTransaction final : public kv::Transaction {
 public:
  CountedTransaction(runtime::Env& env, std::unique_ptr<kv::Transaction> inner, const TransactionCounts& counts)
      : env_(env), inner_(std::move(inner)), counts_(counts) {}

  kv::Transaction& inner() noexcept { return *inner_; }

  [[clang::coro_wrapper]] Task<Result<std::optional<std::string>>> get(std::string key, kv::Read mode) override {
    return inner_->get(std::move(key), mode);
  }
  [[clang::coro_wrapper]] Task<Result<kv::RangeResult>> get_range(kv::KeyRange range,
                                                                  kv::RangeOptions options) override {
    return inner_->get_range(std::move(range), options);
  }
  [[clang::coro_wrapper]] Task<Result<kv::Version>> read_version() override { return inner_->read_version(); }

  void set(std::string key, std::string value) override {
    ++writes_;
    inner_->set(std::move(key), std::move(value));
  }
  void clear(std::string key) override {
    ++writes_;
    inner_->clear(std::move(key));
  }
  void clear_range(kv::KeyRange range) override {
    ++writes_;
    inner_->clear_range(std::move(range));
  }
  void atomic(kv::Atomic operation, std::string key, std::uint64_t operand) override {
    ++writes_;
    inner_->atomic(operation, std::move(key), operand);
  }
  void set_versionstamped_key(std::string prefix, std::string suffix, std::string value) override {
    ++writes_;
    inner_->set_versionstamped_key(std::move(prefix), std::move(suffix), std::move(value));
  }
  void add_read_conflict(kv::KeyRange range) override { inner_->add_read_conflict(std::move(range)); }

  Task<Result<kv::Commit>> commit() override {
    const runtime::Time begun = env_.now();
    Result<kv::Commit> commit = co_await inner_->commit();
    if (writes_ > 0) {
      counts_.writes.record(writes_);
      counts_.latency.record(env_.now() - begun);
    }
    if (!commit) {
      counts_.failed.add();
    } else if (commit->outcome == kv::Outcome::kCommitted) {
      counts_.committed.add();
    } else if (commit->outcome == kv::Outcome::kConflict) {
      counts_.conflicts.add();
    } else {
      counts_.unknown.add();
    }
    co_return commit;
  }

 private:
  runtime::Env& env_;
  const std::unique_ptr<kv::Transaction> inner_;
  const TransactionCounts& counts_;
  std::int64_t writes_ = 0;
};

// The engine's lease knows the engine's transactions only.
class CountedLease final : public kv::Lease {
 public:
  explicit CountedLease(std::unique_ptr<kv::Lease> inner) : inner_(std::move(inner)) {}
  bool held() const noexcept override { return inner_->held(); }
  [[clang::coro_wrapper]] Task<void> lost() override { return inner_->lost(); }
  [[clang::coro_wrapper]] Task<Result<>> guard(kv::Transaction& transaction) override {
    auto* const counted = dynamic_cast<CountedTransaction*>(&transaction);
    return inner_->guard(counted == nullptr ? transaction : counted->inner());
  }
  [[clang::coro_wrapper]] Task<Result<>> release() override { return inner_->release(); }
  std::uint64_t epoch() const noexcept override { return inner_->epoch(); }

 private:
  const std::unique_ptr<kv::Lease> inner_;
};

TransactionCounts make_counts(metrics::Registry& registry, const std::string& prefix) {
  TransactionCounts counts;
  for (const auto& [into, outcome] : {std::pair{&counts.committed, "committed"},
                                      {&counts.conflicts, "conflict"},
                                      {&counts.unknown, "unknown"},
                                      {&counts.failed, "failed"}}) {
    auto made = registry.counter({.name = prefix + "_transactions_total",
                                  .help = "Commits by outcome; each conflict is a transaction that runs again.",
                                  .labels = {{"outcome", outcome}}});
    if (made) *into = *made;
  }
  if (auto made = registry.histogram(
          {.name = prefix + "_transaction_writes", .help = "Keys and ranges that one commit writes.", .labels = {}}))
    counts.writes = *made;
  if (auto made = registry.histogram({.name = prefix + "_commit_seconds",
                                      .unit = metrics::Unit::kSeconds,
                                      .help = "One commit that writes.",
                                      .labels = {}}))
    counts.latency = *made;
  return counts;
}

}  // namespace

CountedStore::CountedStore(runtime::Env& env, std::unique_ptr<kv::KvStore> store, metrics::Registry& registry,
                           const std::string& prefix)
    : env_(env), store_(std::move(store)), counts_(make_counts(registry, prefix)) {}

std::unique_ptr<kv::Transaction> CountedStore::begin() {
  return std::make_unique<CountedTransaction>(env_, store_->begin(), counts_);
}

[[clang::coro_wrapper]] Task<Result<std::unique_ptr<kv::Watch>>> CountedStore::watch(kv::KeyRange range,
                                                                                     kv::Version after) {
  return store_->watch(std::move(range), after);
}

Task<Result<std::unique_ptr<kv::Lease>>> CountedStore::acquire_lease(std::string name, std::string holder,
                                                                     runtime::Duration ttl) {
  FF_CO_TRY_ASSIGN(auto lease, co_await store_->acquire_lease(std::move(name), std::move(holder), ttl));
  co_return std::make_unique<CountedLease>(std::move(lease));
}

[[clang::coro_wrapper]] Task<Result<std::optional<std::string>>> CountedStore::current_holder(std::string name) {
  return store_->current_holder(std::move(name));
}

[[clang::coro_wrapper]] Task<void> CountedStore::stop() { return store_->stop(); }

}  // namespace ff::ffs
