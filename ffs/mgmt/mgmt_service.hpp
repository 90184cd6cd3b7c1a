// Manager: the service of mgmt.proto: one of several processes over one KvStore, of which the one that holds the lease
// is primary and answers.
//
//   Manager manager(env, store, {.cluster = id, .node = 1});
//   FF_TRY(server.add(manager));
//   manager.start();
//   ...
//   co_await manager.stop();        // before the rpc::Server, whose handlers wait for routing, is stopped
//
// Primary    Campaigns for the lease "mgmtd"; then reads the state in one transaction that sets a new routing version,
// and
//            begins with nobody known. For one failure timeout nobody is declared dead.
// Writes     Heartbeats cost none. A node that appears, dies or moves, a chain that changes, and what administrators
// ask
//            for are one transaction each, which commits only while we hold the lease. After one whose outcome is not
//            known the state is read anew, and until then nothing is answered.
// Fencing    A node's lease is half of the failure timeout. From the decision that a node is dead until it is stored,
// the
//            node's heartbeats are refused; afterwards they bring the routing in which others go on without it.
// Errors     kUnavailable "not primary (node 2 is)"; what administrators ask for wrongly: kInvalidArgument, kNotFound,
//            kAlreadyExists, kPermission, with a sentence.
// Threads    Those of the Env, which outlives it, as does the store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ffs/mgmt/chain_state.hpp"
#include "ffs/mgmt/manager_state.hpp"
#include "ffs/mgmt/membership.hpp"
#include "ffs/mgmt/mgmt.ff.hpp"
#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::ffs {

// Knows who may change the cluster.
class AdministratorSource {
 public:
  virtual ~AdministratorSource() = default;
  // Nothing: who shows this token may. kPermission; kUnavailable: nobody can tell now.
  virtual runtime::Task<Result<>> check(std::string token) = 0;
};

struct ManagerOptions {
  std::string cluster;     // 16 bytes
  std::uint64_t node = 0;  // this manager's
  std::string address;     // for messages that name the primary
  std::string prefix = "mgmt/";
  runtime::Duration failure_timeout = std::chrono::seconds(10);  // heartbeats come five times in it; leases are half
  runtime::Duration session_timeout = std::chrono::seconds(60);
  runtime::Duration primary_ttl = std::chrono::seconds(5);  // that the lease outlives a dead primary
  bool share_hosts = false;           // a chain may have several members on one machine; never on one node
  std::size_t replacements_max = 16;  // that catch up at one time, of members that are drained
  // Asked before each change that an administrator wants; null: all members may. Outlives the Manager.
  AdministratorSource* administrators = nullptr;
  // Told each new state, before anybody else hears of it, while we are primary. For tests and logs; may be empty.
  std::function<void(const ManagerState&)> observe = {};
};

class Manager final : public ManagerService {
 public:
  // REQUIRES: cluster of 16 bytes, a node number, a failure timeout of 100 ms or more.
  Manager(runtime::Env& env, kv::KvStore& store, ManagerOptions options);
  ~Manager() override;

  // Once.
  void start();
  // Gives the lease up and ends all waits for routing. Handlers fail with kUnavailable from now on.
  runtime::Task<void> stop();
  bool primary() const noexcept;
  // As get_routing() gives it while this manager is primary.
  Routing routing() const { return make_routing(); }
  // Why this manager cannot be primary, last time it tried: the store is not reached, or is another cluster's.
  const std::optional<Error>& trouble() const noexcept { return trouble_; }

  runtime::Task<Result<HeartbeatReply>> heartbeat(rpc::ServerCall& call, const HeartbeatRequest& request) override;
  runtime::Task<Result<GetRoutingReply>> get_routing(rpc::ServerCall& call, const GetRoutingRequest& request) override;
  runtime::Task<Result<ExtendSessionReply>> extend_session(rpc::ServerCall& call,
                                                           const ExtendSessionRequest& request) override;
  runtime::Task<Result<ListSessionsReply>> list_sessions(rpc::ServerCall& call,
                                                         const ListSessionsRequest& request) override;
  runtime::Task<Result<InstallChainsReply>> install_chains(rpc::ServerCall& call,
                                                           const InstallChainsRequest& request) override;
  runtime::Task<Result<UpdateChainReply>> update_chain(rpc::ServerCall& call,
                                                       const UpdateChainRequest& request) override;
  runtime::Task<Result<SetNodeReply>> set_node(rpc::ServerCall& call, const SetNodeRequest& request) override;
  runtime::Task<Result<SetTargetReply>> set_target(rpc::ServerCall& call, const SetTargetRequest& request) override;
  runtime::Task<Result<SetConfigReply>> set_config(rpc::ServerCall& call, const SetConfigRequest& request) override;
  runtime::Task<Result<GetConfigReply>> get_config(rpc::ServerCall& call, const GetConfigRequest& request) override;

 private:
  runtime::Task<void> run();
  runtime::Task<Result<>> lead(kv::Lease& lease);
  runtime::Task<Result<>> reload(kv::Lease& lease);
  runtime::Task<Result<>> maintain(kv::Lease& lease);
  runtime::Task<Result<>> until_lost(kv::Lease& lease);
  // What has to change, of nodes and chains, by now; at most so much that it is one transaction.
  ManagerChange due_changes();
  void note_nodes(ManagerChange& change);
  void note_chains(ManagerChange& change);
  // Which store each target serves from: of one that is not complete, whatever it reports now.
  void note_stores(ManagerChange& change);
  // Targets that nodes have and nobody has told us of: they are spare.
  void note_spares(ManagerChange& change);
  // One step of one member that leaves its chain.
  void note_replacements(ManagerChange& change);
  // Makes a change with a look at who can take whose place.
  template <class Plan>
  Result<ManagerChange> plan_drain(Plan plan);
  // Whether the target reports a store other than the one that made it complete: an empty one on a new disk, say. It
  // must not serve for what it was.
  bool replaced(const TargetInfo& target, PublicState state) const;
  std::vector<MemberView> views(const ChainInfo& chain, bool any_store = false) const;
  Routing make_routing() const;
  Result<> check_primary() const;
  runtime::Task<Result<>> check_administrator(std::string token) const;
  Result<> check_cluster(const std::string& cluster) const;
  Result<> check_request(const HeartbeatRequest& request) const;

  // Makes a change of the present state and stores it, in turn with all others.
  template <class Make>
  runtime::Task<Result<>> change(Make make);
  runtime::Task<Result<>> store_change(ManagerChange change);

  runtime::Env& env_;
  kv::KvStore& kv_;
  const ManagerOptions options_;
  ManagerStore store_;
  Membership members_;
  ManagerState state_;
  kv::Lease* lease_ = nullptr;  // while primary
  bool loaded_ = false;         // state_ is what is stored
  bool started_ = false;
  bool stopping_ = false;
  std::set<std::uint64_t> dying_;  // nodes whose death is being stored
  std::string other_;              // who is primary, as far as known
  std::optional<Error> trouble_;
  runtime::Mutex writing_;
  runtime::WaitQueue newer_;  // state_ has a new version
  runtime::Event dirty_;      // due_changes() may have something
  runtime::Scope scope_;
};

}  // namespace ff::ffs
