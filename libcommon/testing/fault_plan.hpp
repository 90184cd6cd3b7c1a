// FaultPlan: a random schedule of faults over a simulated world, until a moment at which everything is healed, so that
// liveness can be checked after it.
//
//   FaultPlan faults(world, {.kill = 2s, .partition = 1s, .heal_at = 20s});
//   world.run_until(faults.healed_at());               // safety is checked on the way
//   world.run_until([&] { return all_done; }, 60s);    // now it must make progress
//
// What is scheduled follows from the world's seed. Intervals are means of exponential distributions over all nodes
// (or pairs) together; 0 turns the fault off. What a fault breaks is repaired after a time of mean `lasting`.
#pragma once

#include <vector>

#include "libcommon/testing/sim_world.hpp"

namespace ff::testing {

struct FaultPlanOptions {
  runtime::Duration kill{0};          // power cut or kill -9 (half each); restarted later
  runtime::Duration pause{0};         // SIGSTOP
  runtime::Duration partition{0};     // an island of random nodes, both ways
  runtime::Duration cut_one_way{0};   // one direction between two nodes
  runtime::Duration reset{0};         // of the connections between two nodes
  runtime::Duration slow_link{0};     // a hundred times the latency
  runtime::Duration slow_disk{0};     // a hundred times the latency
  runtime::Duration disk_errors{0};   // transient EIO, one operation in twenty, also of syncs
  runtime::Duration clock_step{0};    // of the wall clock, up to an hour either way
  std::int64_t drift_ppm_max = 0;     // each node's clock drifts up to this much, until healed
  runtime::Duration lasting = 500ms;  // mean time to repair
  std::size_t down_max = 1;           // nodes that are killed or paused at the same time
  runtime::Duration heal_at = 10s;    // after which all is well
  std::vector<NodeId> nodes;          // who suffers; empty: all that exist now
};

class FaultPlan {
 public:
  // Nodes are to be started before the first fault strikes them. The plan must outlive the run.
  FaultPlan(SimWorld& world, FaultPlanOptions options);
  FaultPlan(const FaultPlan&) = delete;
  FaultPlan& operator=(const FaultPlan&) = delete;

  runtime::Time healed_at() const noexcept { return heal_at_; }
  std::size_t faults() const noexcept { return faults_; }

 private:
  using Strike = void (FaultPlan::*)();
  runtime::Duration exponential(runtime::Duration mean);
  void schedule(runtime::Duration mean, Strike strike);
  NodeId pick();
  std::pair<NodeId, NodeId> pick_pair();
  // `repair` some time later, and not after everything has been healed.
  void repair_later(std::function<void()> repair);
  void heal();

  void strike_kill();
  void strike_pause();
  void strike_partition();
  void strike_one_way();
  void strike_reset();
  void strike_slow_link();
  void strike_slow_disk();
  void strike_disk_errors();
  void strike_clock();

  SimWorld& world_;
  FaultPlanOptions options_;
  Rng rng_;
  runtime::Time heal_at_;
  bool healed_ = false;
  std::size_t faults_ = 0;
  std::vector<NodeId> down_;  // killed or paused by us
};

}  // namespace ff::testing
