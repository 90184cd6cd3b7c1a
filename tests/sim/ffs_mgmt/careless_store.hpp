// A KvStore whose leases do not guard and whose reads do not conflict: what writers without fencing would have.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "libcommon/kv/kv_store.hpp"

namespace ff::sim {

class CarelessStore final : public kv::KvStore {
 public:
  explicit CarelessStore(kv::KvStore& inner) : inner_(inner) {}

  std::unique_ptr<kv::Transaction> begin() override { return std::make_unique<Reads>(inner_.begin()); }
  kv::Limits limits() const override { return inner_.limits(); }
  runtime::Task<Result<std::unique_ptr<kv::Watch>>> watch(kv::KeyRange range, kv::Version after) override {
    co_return co_await inner_.watch(std::move(range), after);
  }
  runtime::Task<Result<std::unique_ptr<kv::Lease>>> acquire_lease(std::string name, std::string holder,
                                                                  runtime::Duration ttl) override {
    FF_CO_TRY_ASSIGN(auto lease, co_await inner_.acquire_lease(std::move(name), std::move(holder), ttl));
    co_return std::make_unique<Unguarded>(std::move(lease));
  }
  runtime::Task<Result<std::optional<std::string>>> current_holder(std::string name) override {
    co_return co_await inner_.current_holder(std::move(name));
  }
  std::string describe() const override { return inner_.describe(); }
  runtime::Task<void> stop() override { co_await inner_.stop(); }

 private:
  class Unguarded final : public kv::Lease {
   public:
    explicit Unguarded(std::unique_ptr<kv::Lease> inner) : inner_(std::move(inner)) {}
    bool held() const noexcept override { return inner_->held(); }
    runtime::Task<void> lost() override { co_await inner_->lost(); }
    runtime::Task<Result<>> guard(kv::Transaction&) override { co_return {}; }
    runtime::Task<Result<>> release() override { co_return co_await inner_->release(); }
    std::uint64_t epoch() const noexcept override { return inner_->epoch(); }

   private:
    std::unique_ptr<kv::Lease> inner_;
  };

  class Reads final : public kv::Transaction {
   public:
    explicit Reads(std::unique_ptr<kv::Transaction> inner) : inner_(std::move(inner)) {}
    runtime::Task<Result<std::optional<std::string>>> get(std::string key, kv::Read) override {
      co_return co_await inner_->get(std::move(key), kv::Read::kSnapshot);
    }
    runtime::Task<Result<kv::RangeResult>> get_range(kv::KeyRange range, kv::RangeOptions options) override {
      options.mode = kv::Read::kSnapshot;
      co_return co_await inner_->get_range(std::move(range), options);
    }
    runtime::Task<Result<kv::Version>> read_version() override { co_return co_await inner_->read_version(); }
    void set(std::string key, std::string value) override { inner_->set(std::move(key), std::move(value)); }
    void clear(std::string key) override { inner_->clear(std::move(key)); }
    void clear_range(kv::KeyRange range) override { inner_->clear_range(std::move(range)); }
    void atomic(kv::Atomic operation, std::string key, std::uint64_t operand) override {
      inner_->atomic(operation, std::move(key), operand);
    }
    void set_versionstamped_key(std::string prefix, std::string suffix, std::string value) override {
      inner_->set_versionstamped_key(std::move(prefix), std::move(suffix), std::move(value));
    }
    void add_read_conflict(kv::KeyRange) override {}
    runtime::Task<Result<kv::Commit>> commit() override { co_return co_await inner_->commit(); }

   private:
    std::unique_ptr<kv::Transaction> inner_;
  };

  kv::KvStore& inner_;
};

}  // namespace ff::sim
