// Daemon: one process of a file system: the roles that the cluster file gives to its node, at the node's one address.
//
//   Daemon daemon(env, cluster, node);
//   FF_CO_TRY(co_await daemon.start());
//   const Error why = co_await daemon.ended();     // cancelled, or refused by the manager
//   co_await daemon.stop();
//
// Stores     Opened by a StoreOpener: the embedded or distributed one that the file names, or in a simulation one in
// memory. Threads    Those of the Env, which outlives it, as do the cluster file and the opener.
#pragma once

#include <memory>
#include <string>

#include "ffs/cluster/cluster_file.hpp"
#include "ffs/daemon/sampled_metrics.hpp"
#include "ffs/storage/storage_server.hpp"
#include "libcommon/kv/kv_store.hpp"

namespace ff::ffs {

class Manager;
class StorageClient;
class AdministratorCheck;
class NamespaceService;
class UsersAdministration;
class ChainFileChunks;
class ManagerSessions;
class NodeStats;

// Opens stores of state.
class StoreOpener {
 public:
  virtual ~StoreOpener() = default;
  // What `place` names; `service` is "mgmtd" or "metad" (each with a part of its own in a shared store).
  virtual runtime::Task<Result<std::unique_ptr<kv::KvStore>>> open(runtime::Env& env, StorePlace place,
                                                                   std::string service) = 0;
};

// Of the real engines.
class RealStoreOpener final : public StoreOpener {
 public:
  // `create`: makes a folder's store that is not there.
  RealStoreOpener(const ClusterFile& cluster, bool create);
  runtime::Task<Result<std::unique_ptr<kv::KvStore>>> open(runtime::Env& env, StorePlace place,
                                                           std::string service) override;

 private:
  std::string prefix_;
  bool create_;
};

struct TargetFolder {
  TargetId target{};
  std::string path;  // of its chunk store
};
// Stable, from the file alone: what stands in which folder of a node. Of each folder first those for chains, then the
// spare ones.
std::vector<TargetFolder> target_folders(const ClusterFile& cluster, const ClusterNode& node);

class Daemon {
 public:
  Daemon(runtime::Env& env, const ClusterFile& cluster, const ClusterNode& node, StoreOpener& stores);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Opens the stores and serves. After an error call stop() all the same.
  runtime::Task<Result<>> start();
  // Returns when the daemon should end: why. (Its context's cancellation, or the manager will not have this process.)
  runtime::Task<Error> ended();
  runtime::Task<void> stop();

  // What the node counts, also served by NodeStats at its address. sample() brings up to date what only the parts know.
  const metrics::Registry& registry() const noexcept { return registry_; }
  void sample();
  // Whether the node does its work: it has a lease, its targets are well, its manager reaches its state.
  Result<> health() const;
  // REQUIRES: start() has succeeded.
  const rpc::Server& server() const noexcept { return storage_ != nullptr ? *storage_->server() : *server_; }

  const std::string& about() const noexcept { return about_; }  // a line for the log: roles, address
  // Null: not of a node with targets, or not yet. For tests, which look at what the targets hold.
  StorageServer* storage() const noexcept { return storage_.get(); }

 private:
  runtime::Task<void> stop_all();
  runtime::Task<Result<>> start_manager();
  runtime::Task<Result<>> start_namespace();
  NodeInfo node_info() const;
  // Spare, as far as is known, and without a store, as where the cluster file has more of them than were formatted.
  bool unused(const TargetFolder& folder) const;
  const HeartbeatSender* heartbeats() const;  // null: not yet

  runtime::Env& env_;
  const ClusterFile& cluster_;
  const ClusterNode& node_;
  StoreOpener& stores_;
  std::string about_;
  const runtime::Time began_;
  metrics::Registry registry_;  // before all that count there
  SampledMetrics sampled_;
  std::unique_ptr<NodeStats> stats_;
  std::unique_ptr<kv::KvStore> manager_store_, names_store_;
  std::unique_ptr<Manager> manager_;
  std::unique_ptr<MgmtClient> mgmt_;
  std::unique_ptr<StorageClient> chunks_client_;
  std::unique_ptr<ChainFileChunks> chunks_;
  std::unique_ptr<ManagerSessions> sessions_;
  std::unique_ptr<NamespaceService> names_;
  std::unique_ptr<UsersAdministration> users_;
  std::unique_ptr<AdministratorCheck> administrators_;  // of a manager, where tokens are asked for
  std::unique_ptr<StorageServer> storage_;              // of a node with targets: serves the others at the same address
  std::unique_ptr<rpc::Server> server_;                 // of a node without
  std::unique_ptr<HeartbeatSender> heartbeats_;         // of a node without
};

}  // namespace ff::ffs
