// A replicated register after Attiya, Bar-Noy and Dolev: every node keeps a copy on its disk; reads and writes ask a
// majority, take the newest stamp, and store to a majority. Linearizable while the disks keep what they synced.
// The small cluster by which the simulator is measured, and an honest protocol for the checker of histories.
#pragma once

#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/history.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::sim {

struct QuorumOptions {
  testing::NodeId nodes = 5;
  int operations = 20;     // of each node's client, between starts
  bool write_back = true;  // false: a reader does not store what it read (the classical mistake)
  testing::FaultPlanOptions faults;
};

// Runs until the faults are healed and every client is done, then checks the history.
Result<> quorum_scenario(testing::SimWorld& world, const QuorumOptions& options);

}  // namespace ff::sim
