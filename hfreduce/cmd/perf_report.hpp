// How the benchmark prints: nccl-tests' layout for people and for the scripts that already read it, or a table of rows
// (ff.perf/1) with nccl-tests' names and units in the keys.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hfreduce/cmd/perf_measure.hpp"
#include "libcommon/machine/machine.hpp"
#include "libcommon/report/table.hpp"

namespace ff::hfreduce::cmd {

struct PerfRow {
  PerfCase c;
  PerfTimes out_of_place;
  std::optional<PerfTimes> in_place;
};

struct PerfHeader {
  machine::Machine machine;
  PerfPlan plan;
  std::uint64_t bytes_min = 0, bytes_max = 0, step_factor = 0, step_bytes = 0;
  std::string buffers;    // "window", "ordinary"
  std::string transport;  // "auto", "shm", "tcp"
  std::string algorithm;
  std::vector<RankInfo> ranks;
};

// Bandwidths in GB/s (10^9).
double algbw_GBps(const PerfCase& c, double seconds);
double busbw_GBps(const PerfCase& c, double seconds);

// The pieces of the text report, in order.
std::string perf_text_header(const PerfHeader& header);
std::string perf_text_row(const PerfHeader& header, const PerfRow& row);
std::string perf_text_footer(const std::vector<PerfRow>& rows);

report::Table perf_table(const PerfHeader& header, const std::vector<PerfRow>& rows);

// Wrong elements over all rows, and the mean of busbw over all measurements.
std::uint64_t total_wrong(const std::vector<PerfRow>& rows);
double mean_busbw_GBps(const std::vector<PerfRow>& rows);

}  // namespace ff::hfreduce::cmd
