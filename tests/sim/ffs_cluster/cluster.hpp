// A whole file system in a simulated world: managers and metadata services over one store in memory, storage daemons
// with real chunk stores on simulated disks: the Daemon of ffs/daemon on every node, as `ffs serve` runs it.
//
// Nodes      0 and 1: managers; 2 and 3: metadata; 4 to 8: storage. Others (clients) are the scenario's.
// Supervisor A daemon that does not start, or ends, is started again a little later, as a service manager would.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffs/cluster/cluster_file.hpp"
#include "ffs/mgmt/routing.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::ffs {
class Daemon;
}

namespace ff::sim {

inline constexpr std::size_t kManagers = 2;
inline constexpr std::size_t kNamespaces = 2;
inline constexpr std::size_t kStorage = 5;
inline constexpr std::size_t kReplicas = 3;
inline constexpr std::size_t kDaemons = kManagers + kNamespaces + kStorage;
inline constexpr std::uint32_t kChunkBytes = 64u << 10;

class Cluster {
 public:
  // Adds the nodes; nothing runs yet.
  explicit Cluster(testing::SimWorld& world);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  // REQUIRES: no node runs any more.
  ~Cluster();

  // Formats the disks, starts all daemons, lays down the chains; returns when every chain serves.
  Result<> bring_up();
  // Until healed() the store in memory has conflicts, outages and commits of unknown outcome.
  void make_store_unsure();
  // The store is well again, and daemons whose disk has failed are started anew.
  void heal();

  // Every chain serves with all its members, as the managers see it.
  bool complete() const;
  // Replicas hold the same chunks, and nothing is pending or bad.
  bool equal() const;
  // Why not complete() or not equal().
  std::string describe() const;
  // Chunks that are not removed, of any replica.
  std::vector<ffs::ChunkId> chunks() const;
  // Until there is neither garbage nor an open session nor a truncate to finish, and every chunk is of an inode.
  // kCorrupt, after a time that is long enough for all of it: names the first that is left.
  runtime::Task<Result<>> wait_until_clean(testing::SimEnv& env);

  const std::vector<testing::NodeId>& daemons() const noexcept { return daemons_; }
  std::vector<testing::NodeId> storage() const { return {daemons_.end() - kStorage, daemons_.end()}; }
  const ffs::ClusterFile& file() const noexcept { return file_; }

 private:
  class Opener;
  void start(testing::NodeId node);
  runtime::Task<Result<>> run_daemon(testing::SimEnv& env);
  runtime::Task<Result<>> format(testing::SimEnv& env);
  runtime::Task<Result<>> administrate(testing::SimEnv& env);
  ffs::InstallChainsRequest chains() const;
  std::string difference() const;
  // Empty: nothing.
  runtime::Task<Result<std::string>> rubbish(kv::KvStore& store) const;

  testing::SimWorld& world_;
  kv::MemoryCluster kv_;
  kv::MemoryFaults store_faults_;
  ffs::ClusterFile file_;
  std::vector<testing::NodeId> daemons_;
  testing::NodeId administrator_;
  std::map<testing::NodeId, ffs::Daemon*> running_;
  std::shared_ptr<const ffs::RoutingView> view_;  // the administrator's
};

}  // namespace ff::sim
