// What `ffs top` makes of what nodes count: samples, and the rates between two of them. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ffs/daemon/stats.pb.h"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::ffs {

// The families that a sample is made of.
StatsRequest top_request();

// One answer of a node, its series added up: over its targets, and over the kinds of its metadata operations.
struct NodeSample {
  runtime::Time at{};  // by the clock of who asked
  std::uint64_t incarnation = 0;
  std::map<std::string, double, std::less<>> values;                  // counters and gauges, by family
  std::map<std::string, metrics::Histogram, std::less<>> histograms;  // by family

  double value(std::string_view family) const;  // 0 for one that is not there
};
// kCorrupt: a histogram that is none, or one of another layout than its fellows.
Result<NodeSample> read_sample(const StatsReply& reply, runtime::Time at);

// What a node did between two samples, and how it is.
struct NodeRates {
  double read_bytes = 0, write_bytes = 0, resync_bytes = 0;  // per second
  double operations = 0;                                     // reads and updates per second
  double hedged_reads = 0, meta_operations = 0;              // per second
  metrics::Histogram read_times, update_times, meta_times;   // nanoseconds, of this time alone
  std::uint64_t used_bytes = 0, capacity_bytes = 0, pending = 0, resync_left_bytes = 0;
};
// A counter that went back, and all of a process that was not there before, count from zero: no rate is negative.
NodeRates rates_between(const NodeSample& before, const NodeSample& now);
// Adds what another node did.
void add_to(NodeRates& total, const NodeRates& node);

}  // namespace ff::ffs
