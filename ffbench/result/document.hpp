// Document: one run of an ffbench command: what was measured, how, on which machine, and every sample of it.
// Everything that ffbench prints, compares, plots and reports is made from this one model; JSON is its only file form
// (schema ff.bench/1, described by bench.schema.json beside this file and in ffbench(1)).
//
// Units    Base units, always: "B/s", "ns", "1/s" (operations a second), "B", "FLOP/s", "ratio" (0..1 or a factor), ""
//          (a count). Text shows them scaled; JSON never does.
// Samples  One value for each repeat, in the order of measurement. What a reader compares are medians and their
//          confidence intervals (ffbench/stats); the samples stay in the file, so that a later reader can do better.
// Threads  Plain data; none of it is shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ffbench/stats/better.hpp"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/report/table.hpp"

namespace ff::bench {

using Fields = std::vector<std::pair<std::string, report::Cell>>;

struct Metric {
  std::string name;  // "bandwidth", "latency_p99"; snake_case, unique in its row
  std::string unit;
  Better better = Better::kHigher;
  std::string formula = {};  // how the value comes from what was counted: "bytes moved / elapsed time"
  std::vector<double> samples = {};
};

// A distribution over all repeats of a row, merged. Values are nanoseconds.
struct Latency {
  std::string name;  // "read", "round_trip"
  metrics::Histogram histogram;
};

struct Row {
  std::string name;   // unique in its document and equal between runs that may be compared: "read bs=4096 qd=16"
  Fields parameters;  // what the name says, as values
  std::vector<Metric> metrics;
  std::vector<Latency> latencies = {};
  std::string error = {};  // why the row was not, or not wholly, measured; empty: it was
};

struct FieldGroup {
  std::string name;  // "cpu", "memory", "nic eth0", "disk vda"
  Fields fields;
};

struct Method {
  std::int64_t repeats = 0;
  std::int64_t warmup_ns = 0;
  std::int64_t duration_ns = 0;  // of one repeat of one row; 0: the row counts operations instead
  double confidence = 0.95;
  std::string cpus = {};   // the processors the run was bound to: "0-3"; empty: not bound
  std::string order = {};  // "interleaved": every row once a round, so that a drift of the machine hits all alike
};

struct Document {
  std::string command;                 // "net bw"
  std::vector<std::string> arguments;  // as given
  std::string version;                 // of ffbench
  std::string started;                 // ISO 8601, UTC
  std::int64_t elapsed_ns = 0;
  Method method;
  std::vector<FieldGroup> machine;
  std::vector<Row> rows;
  std::vector<std::string> warnings;  // what makes the figures doubtful: noise, foreign load, frequency
  bool complete = true;               // false: stopped before the end; what is there is whole
};

}  // namespace ff::bench
