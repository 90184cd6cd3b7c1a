// MgmtClient: the cluster manager as its users see it. Keeps the newest routing, keeps a client's session alive, and
// makes the administrator's calls, at whichever of several managers is primary.
//
//   MgmtClient mgmt(env, cluster.managers());
//   Result<> started = co_await mgmt.start(10s);     // current() is there now
//   ...
//   co_await mgmt.stop();                            // always, before it goes
//
// Primary    A manager that is not primary, or not there, is passed over; the next one is asked, round and round with
//            a pause, until the call's timeout. Each change that an administrator asks for may be repeated: asking for
//            what is already so succeeds.
// Background start() keeps a question for newer routing open at the primary; keep_session() extends a session.
// Errors     The manager's; kUnavailable or kTimeout when no manager was primary in time (a change may have been made).
// Threads    Those of the Env, which outlives it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffs/mgmt/mgmt.ff.hpp"
#include "ffs/mgmt/routing.hpp"
#include "libcommon/rpc/client.hpp"

namespace ff::ffs {

struct MgmtClientOptions {
  std::string cluster;                                  // 16 bytes; empty: that of the first routing
  std::string token;                                    // of the user, for what administrators ask for; may be empty
  runtime::Duration poll = std::chrono::seconds(10);    // how long the manager holds the question for new routing
  runtime::Duration attempt = std::chrono::seconds(2);  // that one manager may take to answer
  runtime::Duration pause = std::chrono::milliseconds(50);  // after none of them was primary; doubles up to 20 times it
};

class MgmtClient final : public RoutingSource {
 public:
  // REQUIRES: at least one manager.
  MgmtClient(runtime::Env& env, std::vector<net::PeerAddress> managers, MgmtClientOptions options = {});
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~MgmtClient() override;
  MgmtClient(const MgmtClient&) = delete;
  MgmtClient& operator=(const MgmtClient&) = delete;

  // Begins to follow the routing, once, and returns when the first is there. kTimeout: none by then; it goes on trying.
  // The other calls work without it.
  runtime::Task<Result<>> start(runtime::Duration timeout);
  // Extends the session until stop(). `client`: random, not 0; `what`: for people. kInvalidArgument.
  Result<> keep_session(std::uint64_t client, std::string what, std::string host = "");
  // Ends the session, if a manager answers within a second, and everything else.
  runtime::Task<void> stop();

  std::shared_ptr<const RoutingView> current() const noexcept override { return view_; }
  runtime::Task<Result<std::shared_ptr<const RoutingView>>> newer_than(std::uint64_t version,
                                                                       runtime::Duration timeout) override;
  // Routing that came by another way (with a heartbeat's answer). Older than current(): nothing happens. kCorrupt;
  // kInvalidArgument: of another cluster.
  Result<> offer(Routing routing);

  // Each asks until `timeout`.
  static constexpr runtime::Duration kTimeout = std::chrono::seconds(30);
  // The primary's picture of this moment, with figures (bytes used, time since the last heartbeat) that change without
  // a new version. Becomes current() if it is newer.
  runtime::Task<Result<std::shared_ptr<const RoutingView>>> fetch(runtime::Duration timeout = kTimeout);
  runtime::Task<Result<InstallChainsReply>> install_chains(InstallChainsRequest request,
                                                           runtime::Duration timeout = kTimeout);
  runtime::Task<Result<UpdateChainReply>> update_chain(UpdateChainRequest request,
                                                       runtime::Duration timeout = kTimeout);
  runtime::Task<Result<SetNodeReply>> set_node(SetNodeRequest request, runtime::Duration timeout = kTimeout);
  runtime::Task<Result<SetTargetReply>> set_target(SetTargetRequest request, runtime::Duration timeout = kTimeout);
  runtime::Task<Result<SetConfigReply>> set_config(SetConfigRequest request, runtime::Duration timeout = kTimeout);
  runtime::Task<Result<GetConfigReply>> get_config(GetConfigRequest request, runtime::Duration timeout = kTimeout);
  runtime::Task<Result<ListSessionsReply>> list_sessions(runtime::Duration timeout = kTimeout);
  runtime::Task<Result<ExtendSessionReply>> extend_session(ExtendSessionRequest request,
                                                           runtime::Duration timeout = kTimeout);
  // One attempt at the manager that was primary last; when it fails the next attempt goes to another. For
  // HeartbeatSender, which makes up a new heartbeat for each.
  runtime::Task<Result<HeartbeatReply>> heartbeat(HeartbeatRequest request, runtime::Duration timeout);

  const MgmtClientOptions& options() const noexcept { return options_; }

 private:
  template <class Reply, class Request>
  using Method = runtime::Task<Result<Reply>> (ManagerClient::*)(const Request&, rpc::CallOptions) const;
  template <class Reply, class Request>
  runtime::Task<Result<Reply>> attempt(Method<Reply, Request> method, const Request& request,
                                       runtime::Duration timeout);
  template <class Reply, class Request>
  runtime::Task<Result<Reply>> call(Method<Reply, Request> method, Request request, runtime::Duration timeout,
                                    runtime::Duration hold = {});
  runtime::Task<void> poll_routing();
  runtime::Task<void> ask_now();
  runtime::Task<void> extend_while_running();

  runtime::Env& env_;
  const MgmtClientOptions options_;
  std::vector<std::unique_ptr<rpc::Client>> managers_;
  std::size_t primary_ = 0;  // index of the one to ask
  std::shared_ptr<const RoutingView> view_;
  runtime::WaitQueue newer_;  // view_ was replaced
  bool asking_ = false;       // ask_now() runs
  bool started_ = false;
  std::optional<ClientSession> session_;
  runtime::Scope scope_;  // the background; the first to be destroyed
};

}  // namespace ff::ffs
