// Registration: something that was added to a table and is taken out again when this object goes.
// CallbackTable: functions under names, called by one thread while others add and take them out.
//
// Lifetime  A Registration's destructor returns when the function is gone and no call of it runs any more: what the
//           function refers to may be destroyed right after. It may outlive the table. A function must not drop its own
//           Registration (it would wait for itself).
// Threads   All functions may be called from any thread. Calls of one function come one at a time; who would wait for
//           another's call longer than kBusyWait gets kTimeout, so that one that hangs holds one thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::metrics {

inline constexpr std::chrono::seconds kBusyWait{1};

class [[nodiscard]] Registration {
 public:
  Registration() noexcept = default;
  explicit Registration(std::function<void()> undo) : undo_(std::move(undo)) {}
  Registration(Registration&& other) noexcept : undo_(std::exchange(other.undo_, nullptr)) {}
  Registration& operator=(Registration&& other) noexcept {
    if (this != &other) {
      release();
      undo_ = std::exchange(other.undo_, nullptr);
    }
    return *this;
  }
  ~Registration() { release(); }

  void release() {
    if (auto undo = std::exchange(undo_, nullptr)) undo();
  }

 private:
  std::function<void()> undo_;
};

// A function that can be taken back while others call it.
template <class R>
class Revocable {
 public:
  explicit Revocable(std::function<R()> call) : call_(std::move(call)) {}
  // kCancelled once it was revoked, kTimeout while another call of it hangs.
  Result<R> operator()() const {
    const std::unique_lock lock(mutex_, kBusyWait);
    if (!lock) return fail(Errc::kTimeout, "callback: an earlier call has not returned (is what it reads stuck?)");
    if (!call_) return fail(Errc::kCancelled, "callback: was taken out");
    return call_();
  }
  // Waits for a call that runs.
  void revoke() {
    const std::lock_guard lock(mutex_);
    call_ = nullptr;
  }

 private:
  mutable std::timed_mutex mutex_;  // held through a call
  std::function<R()> call_;
};

template <class R>
class CallbackTable {
 public:
  // kInvalidArgument for an empty name or no function, kAlreadyExists.
  Result<Registration> add(std::string name, std::function<R()> call) {
    if (name.empty() || !call)
      return fail(Errc::kInvalidArgument, "callback '" + name + "': has no name or no function (give both)");
    auto entry = std::make_shared<Revocable<R>>(std::move(call));
    const std::lock_guard lock(state_->mutex);
    if (!state_->entries.emplace(name, entry).second)
      return fail(Errc::kAlreadyExists, "callback '" + name + "': is there already (drop its registration first)");
    return Registration([state = state_, name = std::move(name), entry = std::move(entry)] {
      entry->revoke();
      const std::lock_guard undo_lock(state->mutex);
      state->entries.erase(name);
    });
  }

  // Calls all, in the order of their names. kTimeout stands for one whose earlier call hangs.
  std::vector<std::pair<std::string, Result<R>>> call_all() const {
    std::map<std::string, std::shared_ptr<Revocable<R>>> entries;
    {
      const std::lock_guard lock(state_->mutex);
      entries = state_->entries;
    }
    std::vector<std::pair<std::string, Result<R>>> results;
    for (const auto& [name, call] : entries)
      if (auto result = (*call)(); result || result.error().code() != Errc::kCancelled)
        results.emplace_back(name, std::move(result));
    return results;
  }

 private:
  struct State {
    std::mutex mutex;  // guards entries
    std::map<std::string, std::shared_ptr<Revocable<R>>> entries;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace ff::metrics
