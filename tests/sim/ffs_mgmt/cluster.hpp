// A simulated cluster for the manager: managers over one MemoryCluster, storage nodes without storage that follow the
// protocol of local_state.hpp, and an oracle that sees every state that was stored and who serves at any moment.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ffs/mgmt/heartbeat_sender.hpp"
#include "ffs/mgmt/local_state.hpp"
#include "ffs/mgmt/mgmt_service.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::sim {

inline constexpr std::size_t kManagers = 2;
inline constexpr std::size_t kStorageNodes = 5;
inline constexpr std::size_t kReplicas = 3;
inline constexpr std::size_t kSpares = 3;  // targets of each storage node that are in no chain at first
inline constexpr std::uint16_t kMgmtPort = 9601;

// How the cluster is broken, for tests that show that the oracle would tell.
struct MgmtVariant {
  bool lease = true;             // nodes stop serving when their lease is over
  runtime::Duration late{0};     // nodes go on serving for so long after it
  bool sync_for_version = true;  // a finished sync counts for its chain version only
  bool guard = true;             // managers' writes check the lease and what they have read
};

struct StorageProcess;

// What the administrator wants beside the chains.
struct Wishes {
  bool drain = false;   // the first storage node and one target of the second are drained
  bool regret = false;  // and the third is, for a moment
};

// What the world should look like; convicts when it does not.
class Oracle {
 public:
  explicit Oracle(testing::SimWorld& world) : world_(world) {}
  // A manager has stored, or read, this state.
  void saw(const ffs::ManagerState& state);
  // Nobody serves what others go on without.
  void check_fencing();
  void synced(ffs::TargetId target, ffs::ChainVersion version) { synced_[target] = version; }
  // Every chain is there, and all of its members serve: as many as there were, and none that was to leave.
  bool all_serve(std::size_t chains) const;
  // Target or node is out of all chains in the end, and stays.
  void expect_out(std::uint64_t target) { out_.insert(target); }
  std::string describe() const;
  std::uint64_t changes() const noexcept { return changes_; }

  std::set<StorageProcess*> processes;
  MgmtVariant variant;

 private:
  void saw_chain(const ffs::ChainInfo& chain);

  testing::SimWorld& world_;
  std::uint64_t version_ = 0;
  std::uint64_t changes_ = 0;
  std::map<std::uint64_t, ffs::ChainInfo> chains_;
  std::map<ffs::TargetId, ffs::ChainVersion> synced_;
  std::set<std::uint64_t> served_;     // targets, in the chain they are in
  std::set<std::uint64_t> replacing_;  // targets that take the place of others, as of the state before
  std::set<std::uint64_t> out_;
};

ffs::ManagerOptions manager_options(std::uint64_t node);
std::string cluster_id();
// Members of the chain-th chain: on nodes chain, chain + 1, chain + 2 of the storage nodes.
ffs::InstallChainsRequest install_request();

runtime::Task<Result<>> run_manager(testing::SimEnv& env, kv::MemoryCluster& cluster, Oracle& oracle);
runtime::Task<Result<>> run_storage(testing::SimEnv& env, Oracle& oracle, runtime::Time flaky_until);
runtime::Task<Result<>> run_install(testing::SimEnv& env, Oracle& oracle, Wishes wishes);

}  // namespace ff::sim
