// LocalLeases: leases of a store that one process has to itself: held until released, or until the store fails. Each
// holder gets a new epoch from the store, so that epochs grow across restarts too.
//
// Threads    One Env's. Ownership: outlives its leases.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::kv {

// Where a store keeps the epochs of its leases.
class LeaseEpochs {
 public:
  // One more than the last of the name, durable.
  virtual runtime::Task<Result<std::uint64_t>> next_epoch(std::string name) = 0;

 protected:
  ~LeaseEpochs() = default;
};

class LocalLeases {
 public:
  // `owner`: as BufferedTransaction::owner() of the store's transactions.
  LocalLeases(const void* owner, LeaseEpochs& epochs) : owner_(owner), epochs_(epochs) {}

  runtime::Task<Result<std::unique_ptr<Lease>>> acquire(std::string name, std::string holder);
  std::optional<std::string> holder(const std::string& name) const;
  bool is_current(const LeaseGuard& guard) const;
  // All are lost, and none can be acquired.
  void fail_all(const Error& why);

 private:
  struct Claim {
    bool taken = false;  // from the moment somebody asks for an epoch
    std::uint64_t epoch = 0;
    std::string holder;
    runtime::WaitQueue waiting;
    runtime::Event* over = nullptr;  // of the present lease
  };
  class Held;
  void let_go(Claim& claim);

  const void* owner_;
  LeaseEpochs& epochs_;
  std::map<std::string, Claim, std::less<>> claims_;
  std::optional<Error> failure_;
};

}  // namespace ff::kv
