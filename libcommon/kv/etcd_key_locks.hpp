// EtcdKeyLocks: lets commits of this store that are computed from the same key go one after another, instead of making
// each other fail at the cluster. Only for speed: other stores are kept out by comparisons.
//
// Threads  The Env's. Order: a caller's keys are sorted, so that no two callers wait for each other.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/runtime/sync.hpp"

namespace ff::kv {

class EtcdKeyLocks {
  struct Entry {
    runtime::Mutex mutex;
    unsigned users = 0;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

 public:
  // Held until it goes.
  class [[nodiscard]] Held {
   public:
    explicit Held(Entries& entries) noexcept : entries_(entries) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
      locks_.clear();
      for (const auto& at : used_) {
        if (--at->second.users == 0) entries_.erase(at);
      }
    }
    // REQUIRES: sorted, no key twice; called once.
    runtime::Task<Result<>> take(std::vector<std::string> keys) {
      for (std::string& key : keys) {
        const auto at = entries_.try_emplace(std::move(key)).first;
        ++at->second.users;
        used_.push_back(at);
        FF_CO_TRY_ASSIGN(auto lock, co_await at->second.mutex.lock());
        locks_.push_back(std::move(lock));
      }
      co_return {};
    }

   private:
    Entries& entries_;
    std::vector<Entries::iterator> used_;
    std::vector<runtime::Mutex::Lock> locks_;
  };

  Held hold() noexcept { return Held(entries_); }

 private:
  Entries entries_;
};

}  // namespace ff::kv
