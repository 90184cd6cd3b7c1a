// HeartbeatSender: tells the cluster manager that a node lives and what its targets do, and keeps the lease by which
// the node may serve.
//
//   HeartbeatSender heartbeats(env, mgmt, {.cluster = id, .node = info}, [&] { return targets.reports(); });
//   heartbeats.start();
//   ... before every answer that must be fresh: if (!heartbeats.may_serve()) refuse ...
//   co_await heartbeats.stop();                     // always, before it goes
//
// Fencing    The manager declares a node dead when it has not heard of it for the failure timeout, and then lets others
//            go on without it. The lease is half of that timeout and counts, by this node's monotonic clock, from when
//            the answered heartbeat was SENT: however late the answer came, and unless clocks differ by a factor of
//            two, the lease is over before the manager acts. A node without a lease answers nothing.
// Reports    What `reports` returns is told as it stands when a heartbeat is made up. A target that is reported as
//            LOCAL_OFFLINE must have stopped serving before. Which state to report: local_state.hpp. Targets that are
//            left out count as offline.
// Routing    New routing that comes with an answer goes to the MgmtClient, before the next heartbeat is made up.
// One each   Two processes of one node must not run: the data folders' locks see to it. The manager listens to the
//            newest; the others find refused().
// Threads    Those of the Env. Ownership: the MgmtClient outlives it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ffs/mgmt/routing_client.hpp"

namespace ff::ffs {

struct HeartbeatSenderOptions {
  std::string cluster;  // 16 bytes
  NodeInfo node;        // number, roles, addresses, host, version
  // Until the manager has told its interval.
  runtime::Duration interval = std::chrono::seconds(1);
};

class HeartbeatSender {
 public:
  using Reports = std::function<std::vector<TargetReport>()>;
  // `reports` may be empty: a node without targets.
  HeartbeatSender(runtime::Env& env, MgmtClient& mgmt, HeartbeatSenderOptions options, Reports reports);
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~HeartbeatSender();
  HeartbeatSender(const HeartbeatSender&) = delete;
  HeartbeatSender& operator=(const HeartbeatSender&) = delete;

  // Once.
  void start();
  // Gives up the lease, and tells the manager that all targets are offline if it answers within a second.
  runtime::Task<void> stop();
  // Something worth telling has changed: the next heartbeat goes now, or right after the one under way.
  void poke() noexcept;

  bool may_serve() const noexcept { return env_.now() < serve_until_; }
  // May have passed. Grows while heartbeats are answered.
  runtime::Time serve_until() const noexcept { return serve_until_; }
  // Why the manager will not have this process, ever: another one has taken its place, or the cluster is another. The
  // process should end. Nothing: all is well, or no manager answers.
  const std::optional<Error>& refused() const noexcept { return refused_; }
  std::uint64_t incarnation() const noexcept { return incarnation_; }

 private:
  runtime::Task<void> run();
  runtime::Task<Result<>> send_one();
  HeartbeatRequest make_request();

  runtime::Env& env_;
  MgmtClient& mgmt_;
  const HeartbeatSenderOptions options_;
  const Reports reports_;
  std::uint64_t incarnation_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t challenge_ = 0;
  runtime::Duration interval_;
  runtime::Time serve_until_{};
  std::optional<Error> refused_;
  bool started_ = false;
  bool leaving_ = false;  // stop() has been called: no new lease, all targets offline
  runtime::Event wanted_;
  runtime::Scope scope_;
};

}  // namespace ff::ffs
