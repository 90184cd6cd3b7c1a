// ChunkLocks: a lock for each chunk, given in the order of asking; made when first wanted and gone when nobody does.
//
// Deadlock   Who wants several takes them in the order of ChunkId.
// Ownership  The locks outlive their Guards. Threads: those of the Env.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "ffs/format/types.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

class ChunkLocks {
  struct Entry {
    runtime::Mutex mutex;
    std::size_t users = 0;  // that hold it or wait for it
  };
  using Entries = std::map<ChunkId, Entry>;

 public:
  class [[nodiscard]] Guard {
   public:
    Guard() noexcept = default;
    Guard(Guard&& other) noexcept
        : entries_(std::exchange(other.entries_, nullptr)), at_(other.at_), lock_(std::move(other.lock_)) {}
    Guard& operator=(Guard&& other) noexcept {
      if (this != &other) {
        release();
        entries_ = std::exchange(other.entries_, nullptr);
        at_ = other.at_;
        lock_ = std::move(other.lock_);
      }
      return *this;
    }
    ~Guard() { release(); }
    void release() noexcept {
      if (entries_ == nullptr) return;
      lock_.release();
      if (--at_->second.users == 0) entries_->erase(at_);
      entries_ = nullptr;
    }

   private:
    friend class ChunkLocks;
    explicit Guard(Entries& entries, Entries::iterator at) noexcept : entries_(&entries), at_(at) {}
    Entries* entries_ = nullptr;
    Entries::iterator at_;
    runtime::Mutex::Lock lock_;
  };

  // Fails only when the caller's context is cancelled.
  runtime::Task<Result<Guard>> lock(ChunkId chunk) {
    const auto at = entries_.try_emplace(chunk).first;
    ++at->second.users;
    Guard guard(entries_, at);
    FF_CO_TRY_ASSIGN(guard.lock_, co_await at->second.mutex.lock());
    co_return guard;
  }

  bool locked(ChunkId chunk) const { return entries_.contains(chunk); }
  // That are held or wanted, in order.
  std::vector<ChunkId> held() const {
    std::vector<ChunkId> out;
    for (const auto& [chunk, entry] : entries_) out.push_back(chunk);
    return out;
  }

 private:
  Entries entries_;
};

}  // namespace ff::ffs
