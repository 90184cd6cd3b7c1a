// Membership: who is there, as the primary manager has heard since it became primary. Pure: times are passed in, and
// nothing of it is stored. What is known of a node is a judgement about one process: the newest that proved, by
// returning a challenge, that it lives now and is no message that got late.
//
// Silence   A node is dead when it has not been heard of for `failure_timeout`, counted from the later of its last
//           heartbeat and our beginning: nodes may hold leases that our predecessor gave.
// Reports   LOCAL_OFFLINE counts always: whoever reports it has stopped. Others count when they are about the chain's
//           present version; UPTODATE of an earlier one is no more than ONLINE. Of a member that serves and of which
//           nothing is known yet an older report will do: it lives. What a node does not mention, although it knows the
//           chain's last change, is offline. That a member of a new chain is offline counts only when its node has
//           heard of the chain.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "ffs/mgmt/manager_state.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::ffs {

class Membership {
 public:
  Membership(runtime::Duration failure_timeout, runtime::Duration session_timeout)
      : failure_timeout_(failure_timeout), session_timeout_(session_timeout) {}

  // We have become primary.
  void begin(runtime::Time now);

  struct Heard {
    std::uint64_t challenge = 0;  // not 0: to be returned; nothing was taken
    bool changed = false;         // chains or nodes may have to change
    bool current = false;         // the newest heartbeat of the node's process
  };
  // kAlreadyExists: another process has taken the node over. REQUIRES: the request is of this cluster, its node has a
  // number.
  Result<Heard> hear(const HeartbeatRequest& request, const ManagerState& state, runtime::Time now, Rng& rng);

  // Nothing: not known yet, because we have not been primary for long enough.
  std::optional<bool> alive(std::uint64_t node, runtime::Time now) const;
  // Of a member of a chain at `version`.
  LocalState local(const TargetInfo& target, std::uint64_t version, runtime::Time now) const;
  // When the next node will have been silent for too long, if it stays so.
  runtime::Time next_death(const ManagerState& state, runtime::Time now) const;

  // A chain came to be or has changed with this version of the routing.
  void chain_changed(const ChainInfo& chain, std::uint64_t routing_version);
  // A member of a new chain: unknown until its node reports it, or should have.
  void target_installed(std::uint64_t target, runtime::Time now);

  // What the last heartbeat of the node said of itself; null: nothing heard.
  const NodeInfo* heard_info(std::uint64_t node) const;
  std::vector<std::uint64_t> heard_nodes() const;
  std::optional<runtime::Duration> silence(std::uint64_t node, runtime::Time now) const;
  // The last report of the target; null: none.
  const TargetReport* report(std::uint64_t target) const;
  // Of all targets that were reported.
  std::vector<const TargetReport*> reports() const;
  // Who reported the target; 0: nobody.
  std::uint64_t node_of(std::uint64_t target) const;
  // Nodes that live may not have been heard yet.
  bool is_new(runtime::Time now) const noexcept { return now - began_ < failure_timeout_; }

  // Sessions of clients.
  Result<> extend(const ClientSession& session, bool end, runtime::Time now);
  // Forgets those that are over.
  std::vector<ClientSession> sessions(runtime::Time now);
  bool settling(runtime::Time now) const noexcept { return now - began_ < session_timeout_; }

 private:
  struct Node {
    std::uint64_t incarnation = 0;  // 0: none yet
    std::uint64_t sequence = 0;
    runtime::Time heard{};
    bool first = true;  // the present process has said nothing beside the proof that it lives
    NodeInfo info;
    std::set<std::uint64_t> retired;
    std::uint64_t applicant = 0;  // who was challenged last, and with what
    std::uint64_t challenge = 0;
  };
  struct Target {
    std::uint64_t node = 0;
    LocalState local = LOCAL_NONE;
    std::uint64_t version = 0;  // of the chain, that `local` is about
    TargetReport report;
    runtime::Time unknown_until{};
  };
  struct Session {
    ClientSession session;
    runtime::Time heard{};
  };
  static constexpr std::size_t kSessionsMax = 1'000'000;

  bool take_reports(const HeartbeatRequest& request, const ManagerState& state, runtime::Time now);
  bool said_before(const HeartbeatRequest& request, const TargetInfo& target) const;
  bool set_local(Target& target, LocalState local, std::uint64_t version);

  runtime::Duration failure_timeout_;
  runtime::Duration session_timeout_;
  runtime::Time began_{};
  std::map<std::uint64_t, Node> nodes_;
  std::map<std::uint64_t, Target> targets_;
  std::map<std::uint64_t, std::uint64_t> chain_changed_at_;  // routing versions
  std::map<std::uint64_t, std::uint64_t> chain_began_at_;    // of the first that we know
  std::map<std::uint64_t, std::set<std::uint64_t>> targets_of_node_;
  std::map<std::uint64_t, Session> sessions_;
};

}  // namespace ff::ffs
