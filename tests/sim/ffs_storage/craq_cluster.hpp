// A cluster of one manager, storage nodes with one chain or several, and clients that write and read chunks as
// registers; with faults, checkers, and everything from the world's seed.
#pragma once

#include "ffs/storage/replica_rules.hpp"
#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::ffs {

struct CraqOptions {
  std::size_t replicas = 3;  // of each chain
  std::size_t nodes = 3;     // that store
  std::size_t chains = 1;
  std::size_t clients = 3;
  std::size_t chunks = 2;      // that clients share
  std::size_t operations = 8;  // of each client
  bool relaxed_reads = false;
  bool large = false;   // values that travel as bulk
  std::size_t rot = 0;  // bits that flip, on one replica of a chunk at a time
  std::size_t broken_disks = 0;
  bool real_store = false;  // on the simulated disk, instead of ModelStore (then neither rot nor broken disks)
  bool kill_all = false;    // every storage node loses power at one moment
  bool head_comes_back_empty = false;  // after every node has lost power, and before the others; with one chain
  testing::FaultPlanOptions faults;    // `nodes` is filled: storage nodes, and clients with clients_suffer
  bool clients_suffer = false;         // partitions strike clients too
  runtime::Duration spread = std::chrono::milliseconds(300);  // most that a client waits before an operation
  runtime::Duration failure_timeout = std::chrono::milliseconds(600);
  runtime::Duration update_timeout = std::chrono::seconds(2);
  Hazards hazards;
};

// Runs the clients under the faults, waits until every chain serves with all replicas and they are equal, and checks
// that the history is linearizable (not of relaxed reads).
Result<> craq_scenario(testing::SimWorld& world, const CraqOptions& options);

}  // namespace ff::ffs
