// Fleet: which of many nodes measures worse than the rest (stats/outlier.hpp: modified z-scores by median and MAD), or
// lacks a value that more than half of the nodes of its level have (a GPU or link that is gone).
// Threads  Pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffbench/node/node_report.hpp"

namespace ff::bench {

struct FleetOutlier {
  std::string host;
  std::string id;
  std::optional<double> value;  // nothing when it has none
  std::string unit;
  double median = 0;         // of all nodes that have the value
  double score = 0;          // robust deviations from it
  double worse_percent = 0;  // of the median
  std::string remark;        // of a node whose own checks failed, or that lacks the value; empty otherwise
};

struct FleetView {
  std::size_t nodes = 0;
  std::size_t compared = 0;            // different values that at least four nodes have
  std::vector<FleetOutlier> outliers;  // nodes that failed by themselves, values that are missing, then the worst first
};

// A node must be worse than the median by `percent_min` too: nodes that agree to a hair make specks outliers.
FleetView compare_fleet(std::span<const NodeReport> nodes, double percent_min = 5);

}  // namespace ff::bench
