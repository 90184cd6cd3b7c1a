// GrantScheduler: the GrantWindow of one Env, shared by its Clients, since they share the way in.
//
// Lifetime  of(env) gives the Env's scheduler while anybody holds it, and makes a new one else.
// Threads   Those of the Env; of() from any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>

#include "libcommon/rpc/grant_window.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::rpc {

class GrantScheduler final : private runtime::Timer {
 public:
  // Who asks on behalf of calls, and is told. Calls come from inside ask(), done(), drop() and from the Env's timers.
  class Owner {
   public:
    virtual void grant(std::uint64_t call, std::uint32_t grant) = 0;
    // From new_peer(), so that the order of grants does not depend on where objects lie in memory.
    std::uint64_t grant_peer = 0;

   protected:
    ~Owner() = default;
  };

  explicit GrantScheduler(runtime::Env& env, GrantWindowOptions options = {}) : env_(env), window_(options) {}
  ~GrantScheduler() override = default;
  static std::shared_ptr<GrantScheduler> of(runtime::Env& env);

  std::uint64_t new_peer() noexcept { return ++last_peer_; }

  // False: this call has asked for kAsksMax already, or for this one before.
  bool ask(Owner& owner, std::uint64_t call, std::uint32_t grant, std::uint64_t bytes);
  void done(Owner& owner, std::uint64_t call, std::uint32_t grant);
  // All that the call has asked for.
  void drop(Owner& owner, std::uint64_t call);

  const GrantWindow& window() const noexcept { return window_; }
  static constexpr std::size_t kAsksMax = 16;

 private:
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>;  // peer, call, grant
  struct Asker {
    Owner* owner;
    Key key;
  };
  void pump();
  void expired() override { pump(); }

  runtime::Env& env_;
  GrantWindow window_;
  std::map<Key, GrantWindow::Ticket> tickets_;
  std::unordered_map<GrantWindow::Ticket, Asker> askers_;
  std::uint64_t last_peer_ = 0;
};

}  // namespace ff::rpc
