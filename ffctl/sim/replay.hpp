// replay(): a trace through sched::plan(), the function that schedules live clusters, in simulated time.
//
// Model      Jobs run for their duration and know it (estimates are exact). A preempted job holds its nodes for half of
//            the switch cost, while it saves, and makes no progress for the other half after it has come back; nothing
//            that it computed is lost. A pass is made at whole ticks, when something has happened since the last.
// Machines   `nodes` of `gpus_per_node`. A job of fewer GPUs shares a node; a larger one takes whole nodes, rounded up.
//            With one GPU a node the cluster is one pool without fragments.
// Source     Measures as in Feitelson's workload archive; bounded slowdown with a bound of ten minutes.
#pragma once

#include <span>

#include "ffctl/sched/plan.hpp"
#include "ffctl/sim/trace.hpp"

namespace ff::ctl::sim {

struct ReplayOptions {
  sched::Policy policy{};
  std::uint32_t nodes = 64;
  std::uint32_t gpus_per_node = 8;  // at most 64
  std::uint32_t nodes_per_leaf = 32;
  std::uint32_t leaves_per_zone = 32;
  sched::Ms switch_cost = 120'000;
  sched::Ms tick = 60'000;        // above 0
  bool groups_are_users = false;  // else each job has a user of its own, and shares do not count
};

struct ReplayResult {
  std::uint64_t jobs = 0;
  std::uint64_t never = 0;                                 // of them: larger than the cluster; not in the figures below
  double wait_mean_s = 0, wait_p50_s = 0, wait_p95_s = 0;  // to the first start
  double wait_large_mean_s = 0;                            // of jobs of at least 8 GPUs
  double completion_mean_s = 0;
  double completion_large_mean_s = 0;  // of jobs of at least 8 GPUs: what a policy gives small jobs may cost these
  double slowdown_mean = 0;            // bounded
  double occupancy = 0;                // GPU time held, of all until the last submission
  double goodput = 0;                  // of the GPU time held, what was not spent on switches
  std::uint64_t preemptions = 0;
  std::uint64_t passes = 0;
  double end_s = 0;  // when the last job was done
};

// REQUIRES: the trace ascends by submission; options as stated.
ReplayResult replay(std::span<const TraceJob> trace, const ReplayOptions& options);

}  // namespace ff::ctl::sim
