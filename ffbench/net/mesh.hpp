// Mesh: what every ordered pair of hosts achieves, which of them are not like the others, and the heat map.
//
// Judging  A host is slow at sending (receiving) when even the best of its pairs is an outlier among the hosts' bests;
//          what such a host explains is set aside. Of the other pairs those are slow that are outliers among them.
//          Outliers: stats/outlier.hpp, with a floor of 5 % of the median, so that a pair is slow from 17.5 % below the
//          median on (latency: 10 %, 35 % above). Two hosts are not judged: nobody could tell which is right.
// Threads  Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ffbench/net/patterns.hpp"
#include "ffbench/stats/better.hpp"

namespace ff::bench {

// [from][to]; nothing on the diagonal and where nothing was measured.
using Matrix = std::vector<std::vector<std::optional<double>>>;

struct MeshVerdict {
  double median = 0;  // of all pairs
  std::vector<std::size_t> slow_senders;
  std::vector<std::size_t> slow_receivers;
  std::vector<Pair> slow_pairs;  // not explained by the two above
  std::vector<Pair> unmeasured;  // of which nothing is known, not even that they are not slow

  bool clean() const noexcept { return slow_senders.empty() && slow_receivers.empty() && slow_pairs.empty(); }
};

// `better`: kHigher for bandwidths, kLower for latencies. REQUIRES: a square matrix of finite values.
MeshVerdict judge_mesh(const Matrix& matrix, Better better);

// "host c is slow: sends and receives at 0.25 of the median (bandwidth)", one a finding; pairs
// that were not measured are findings too. `what` names the figure.
std::vector<std::string> describe_mesh(const MeshVerdict& verdict, const Matrix& matrix,
                                       const std::vector<std::string>& names, const std::string& what);

// Host x host, rows send. Cells as `unit` ("B/s", "ns") shows them; what the verdict names has a star. `colour`: each
// cell on a background from red over yellow to green, by its ratio to the median.
std::string heat_map(const Matrix& matrix, const MeshVerdict& verdict, const std::vector<std::string>& names,
                     Better better, const std::string& unit, const std::string& title, bool colour);

}  // namespace ff::bench
