// StorageServer: what a storage node runs, put together: its targets, their service, the heartbeats by which they are
// known and may serve, and the loop that follows the routing. The daemon and the simulations run this.
//
//   StorageServer server(env, mgmt, {.cluster = id, .node = info});
//   server.add(TargetId{11}, "/data1/11", co_await ChunkStore::open(env, "/data1/11"));
//   FF_CO_TRY(co_await server.start(address));
//   ...
//   co_await server.stop();                         // always, before it goes
//
// Disks      A target whose store did not open is reported as offline, with the reason; the others serve.
// Ownership  Env and MgmtClient outlive it. Threads: those of the Env.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ffs/mgmt/heartbeat_sender.hpp"
#include "ffs/storage/target.hpp"
#include "libcommon/net/address.hpp"
#include "libcommon/rpc/server.hpp"

namespace ff::ffs {

class ChunkTargets;
class StoragePeers;

struct StorageServerOptions {
  std::string cluster;                // 16 bytes
  NodeInfo node;                      // number, addresses, host, version; the role is added
  std::vector<rpc::Service*> beside;  // other services of the process, answered at the same address; they outlive it
  TargetOptions target;
  rpc::ServerOptions server;
  rpc::Authorize authorize;                           // who may call; empty: everybody
  runtime::Duration drain = std::chrono::seconds(1);  // for requests in flight when stopping
};

class StorageServer {
 public:
  StorageServer(runtime::Env& env, MgmtClient& mgmt, StorageServerOptions options);
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~StorageServer();
  StorageServer(const StorageServer&) = delete;
  StorageServer& operator=(const StorageServer&) = delete;

  // Before start(): a target and its store, or why that did not open. A store of another target or cluster counts as
  // one that did not open.
  void add(TargetId target, std::string path, Result<std::unique_ptr<ChunkStore>> store);
  // Listens, begins to serve and the heartbeats. The address with its real port.
  runtime::Task<Result<net::Address>> start(net::Address at);
  // Tells the manager, ends what runs, closes the stores.
  runtime::Task<void> stop();

  Target* target(TargetId id) const;
  HeartbeatSender& heartbeats() noexcept { return *heartbeats_; }
  const rpc::Server* server() const noexcept { return server_.get(); }  // null before start()

 private:
  runtime::Task<void> follow_routing();
  std::vector<TargetReport> reports();

  runtime::Env& env_;
  MgmtClient& mgmt_;
  const StorageServerOptions options_;
  std::vector<TargetReport> broken_;  // of targets whose store did not open
  std::unique_ptr<StoragePeers> peers_;
  std::unique_ptr<HeartbeatSender> heartbeats_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::unique_ptr<ChunkTargets> service_;
  std::unique_ptr<rpc::Server> server_;
  runtime::Scope scope_;
};

}  // namespace ff::ffs
