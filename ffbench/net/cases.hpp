// The cases of `ffbench net bw|lat|all2all|incast|mesh`, for a Session: each measures once through the cluster's
// controller and gives the figures of its row.
//
// Figures  bandwidth      bytes received in the window / its length, B/s; of several flows: the sum
//          message_rate   bandwidth / message size
//          cpu_*          processor time of the agent's process in the window / bytes moved, ns/B
//          latency        round trip / 2, as perftest has it; its percentiles are those of the round trip / 2
//          fairness       of the slowest pair / of the fastest
// Shared   Rows that one run measures together (the pairs of all2all, of a round of mesh; the ratio of incast) take
//          their figures from that run: whichever is asked first measures for all.
// Lifetime The Cluster outlives the cases. Threads: main's.
#pragma once

#include <memory>
#include <vector>

#include "ffbench/measure/session.hpp"
#include "ffbench/net/cluster.hpp"
#include "ffbench/net/mesh.hpp"

namespace ff::bench {

struct NetPlan {
  NetTest test;  // pattern and message_bytes are set by the cases
  std::vector<std::uint64_t> sizes;
  std::uint32_t connections = 1;
  bool bidirectional = false;
  std::string traits = {};  // what rows' names say of the options: "tcp q=4"
  Fields parameters = {};   // and as values
};

// Agent 0 sends to agent 1, which accepts the connections.
std::vector<Case> bandwidth_cases(Cluster& cluster, const NetPlan& plan);
std::vector<Case> latency_cases(Cluster& cluster, const NetPlan& plan);
std::vector<Case> all_to_all_cases(Cluster& cluster, const NetPlan& plan);

struct IncastPlan {
  IncastSpec spec;
  std::vector<std::uint64_t> sizes;
  Fields parameters = {};
};
std::vector<Case> incast_cases(Cluster& cluster, const IncastPlan& plan);

struct MeshPlan {
  NetPlan net;  // one size
  std::uint64_t latency_bytes = 64;
  bool at_once = false;  // disjoint pairs together
};
std::vector<Case> mesh_cases(Cluster& cluster, const MeshPlan& plan);
// Medians of a metric of the rows that have `from` and `to`, by the agents' names.
Matrix mesh_matrix(const std::vector<Row>& rows, const std::vector<std::string>& names, const std::string& metric);

}  // namespace ff::bench
