// What one row of the benchmark does: counts, buffers, and how time becomes bandwidth. Pure.
//
// Definitions are nccl-tests' (doc/PERFORMANCE.md there): algbw = data / time, where data is the size of the column
// "size"; busbw = algbw * factor, the factor chosen so that busbw is what the slowest link carries.
#pragma once

#include <cstdint>
#include <vector>

#include "hfreduce/op.hpp"

namespace ff::hfreduce::cmd {

// nccl-tests' binaries, one name each: all_reduce reduce broadcast reduce_scatter all_gather all_to_all gather scatter
// sendrecv. kInvalidArgument for other words.
Result<Collective> parse_perf_collective(std::string_view text);
const std::vector<std::string>& perf_collective_names();
std::string_view perf_collective_name(Collective kind);

struct PerfCase {
  std::uint64_t count = 0;       // the argument of the call, and the column "count"
  std::uint64_t send_bytes = 0;  // of each rank's buffers
  std::uint64_t recv_bytes = 0;
  std::uint64_t size = 0;  // the column "size"
  double factor = 1;       // busbw / algbw
  bool can_be_in_place = false;
  bool reduces = false;
  bool has_root = false;
};

// The case nearest to `bytes` from below, with at least one element a rank.
PerfCase perf_case(Collective kind, int ranks, DType dtype, std::uint64_t bytes);

// The sizes of a sweep: begin, begin * factor ... (or + step, if step > 0) up to `end`. REQUIRES factor >= 2 or step >
// 0.
std::vector<std::uint64_t> perf_sizes(std::uint64_t begin, std::uint64_t end, std::uint64_t factor, std::uint64_t step);

}  // namespace ff::hfreduce::cmd
