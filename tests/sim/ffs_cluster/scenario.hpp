// One life of a simulated cluster: it comes up, clients work under faults, the faults end, and everything that must
// hold is looked at.
#pragma once

#include "libcommon/testing/fault_plan.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::sim {

struct ClusterScenario {
  std::size_t clients = 3;
  std::size_t operations = 25;                                // of each client
  runtime::Duration spread = std::chrono::milliseconds(250);  // most that a client waits before an operation
  testing::FaultPlanOptions faults;                           // `nodes` is filled: all daemons, and clients
  bool clients_suffer = true;
  bool unsure_store = false;  // conflicts, outages, and commits of unknown outcome, in the services' store
  std::size_t kill_all = 0;   // times that all daemons lose power at one moment
  bool full_disk = false;     // one storage node's disk has no space for some time
  std::size_t rot = 0;        // bits that flip in chunks, all on one storage node
  bool clean_up = false;      // in the end waits until nothing is left of what was removed (without steps of clocks)
};

Result<> cluster_scenario(testing::SimWorld& world, const ClusterScenario& scenario);

}  // namespace ff::sim
