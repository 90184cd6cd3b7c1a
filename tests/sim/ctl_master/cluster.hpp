// A simulated cluster for ffctld: masters over one MemoryCluster, agents that follow the protocol without processes, a
// person who submits and controls, and an oracle that looks at all of it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ffctl/master/master.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/support/ctl_fake_node.hpp"

namespace ff::sim {

inline constexpr std::size_t kMasters = 2;
inline constexpr std::size_t kAgents = 5;
inline constexpr std::uint16_t kMasterPort = 9700, kAgentPort = 9701;

// What the world should look like; convicts when it does not.
class CtlOracle {
 public:
  explicit CtlOracle(testing::SimWorld& world) : world_(world) {}

  // A leader has made a step; all of it is stored, or not yet.
  void saw(const ctl::Engine& engine, bool stored);
  // No node has two attempts, and no job ranks of two attempts: also not on nodes that their master has given up.
  void check();
  void submitted(std::uint64_t job) { submitted_.insert(job); }
  bool all_done() const;
  std::string describe() const;

  // What ends ranks with their lease lives beside the agent: also while that is paused.
  struct Node {
    ctl::FakeNode* node;
    testing::SimEnv* env;
  };
  std::map<testing::NodeId, Node> nodes;

 private:
  struct Seen {
    ctl::JobPhase phase = ctl::JOB_NONE;
    std::uint32_t attempt = 0;
    ctl::AttemptPhase attempt_phase = ctl::ATTEMPT_NONE;
  };
  testing::SimWorld& world_;
  std::set<std::uint64_t> submitted_;
  std::map<std::uint64_t, Seen> jobs_;
};

runtime::Task<Result<>> run_master(testing::SimEnv& env, kv::MemoryCluster& cluster, CtlOracle& oracle);
runtime::Task<Result<>> run_agent(testing::SimEnv& env, CtlOracle& oracle);
// Submits jobs, and controls them at random; returns when it has submitted all.
runtime::Task<Result<>> run_person(testing::SimEnv& env, CtlOracle& oracle, std::size_t jobs);

ctl::JobSpec sim_job(std::string name, std::uint32_t nodes, ctl::Priority priority, std::vector<std::string> words);

}  // namespace ff::sim
