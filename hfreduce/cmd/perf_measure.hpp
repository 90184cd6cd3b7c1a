// One row of the benchmark on one rank: call, time, check. All ranks make the same calls in the same order.
//
// Method  A timed batch is calls_per_batch() calls after a barrier and one untimed call; its time is that of the
// slowest
//         rank. The result is the median over the batches, so that one disturbance of the machine does not count.
//         Checking is apart from timing: fresh data, one call, comparison with PerfPattern.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "hfreduce/cmd/perf_case.hpp"
#include "hfreduce/cmd/perf_pattern.hpp"
#include "hfreduce/communicator.hpp"
#include "libcommon/base/aligned_buffer.hpp"

namespace ff::hfreduce::cmd {

struct PerfPlan {
  Collective kind = Collective::kAllReduce;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  int root = 0;
  int batches = 5;
  int iters_per_batch = 4;
  int warmup_iters = 1;
  int check_iters = 1;
};

// iters_per_batch for large messages, five times as many up to 256 KiB, 25 times up to 16 KiB: short calls need more of
// them for a batch to be much longer than the ranks' skew.
int calls_per_batch(const PerfPlan& plan, std::uint64_t size);

// Seconds for one call, over the batches.
struct PerfTimes {
  double median_s = 0, min_s = 0, max_s = 0, p99_s = 0;
  std::optional<std::uint64_t> wrong;  // elements over all ranks; nothing when unchecked
};
// Of batch times; p99 by the nearest rank. REQUIRES at least one.
PerfTimes summarise(std::vector<double> batch_s);

class PerfRunner {
 public:
  // Buffers for cases up to `bytes_max`: windows of the communicator, or ordinary memory.
  static Result<PerfRunner> create(Communicator& comm, const PerfPlan& plan, std::uint64_t bytes_max, bool windows);

  // Every rank gets the same figures.
  Result<PerfTimes> measure(const PerfCase& c, bool in_place);

 private:
  PerfRunner(Communicator& comm, const PerfPlan& plan)
      : comm_(&comm), plan_(plan), pattern_(plan.dtype, plan.op, comm.size(), reduces(plan.kind)) {}
  static bool reduces(Collective kind) { return perf_case(kind, 1, DType::kUint8, 1).reduces; }

  struct Buffers {
    std::byte* send;
    std::byte* recv;
  };
  Buffers buffers_for(const PerfCase& c, bool in_place) const;
  Result<> call(const PerfCase& c, const Buffers& b);
  void fill(const PerfCase& c, const Buffers& b) const;
  std::uint64_t count_wrong(const PerfCase& c, const Buffers& b) const;
  Result<std::uint64_t> check(const PerfCase& c, bool in_place);

  Communicator* comm_;
  PerfPlan plan_;
  PerfPattern pattern_;
  std::byte* send_ = nullptr;
  std::byte* recv_ = nullptr;
  AlignedBuffer ordinary_send_, ordinary_recv_;
};

}  // namespace ff::hfreduce::cmd
