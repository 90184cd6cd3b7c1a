// HFReduce's reduction of k buffers into one, on all processors at once, against what the memory allows.
//
// Traffic  k arrays read, one written: (k + 1) x bytes a pass. Rate in bytes of this traffic a second.
// Bound    The time that plain kernels need for the same traffic, from rates measured in the same run over as much
//          memory and with the same kind of stores (B in bytes a second, S bytes an array):
//            k = 1: 2 S / B_copy      k >= 2: 3 S / B_triad + (k - 2) S / B_read
//          A ratio of 1 is a reduction that costs nothing beyond moving its data.
// Checked  Every element of the result, bit for bit, against the scalar path, after each measurement.
// Source   reduce.hpp of hfreduce/cpu; the operation that HFReduce does on hosts.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <vector>

#include "hfreduce/types.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

struct ReduceCase {
  hfreduce::DType dtype = hfreduce::DType::kFloat32;
  hfreduce::ReduceOp op = hfreduce::ReduceOp::kSum;
  std::uint64_t inputs = 2;        // 1..64
  std::uint64_t bytes = 1u << 20;  // of each buffer, on each processor; multiple of 64, at least 4096
};

class ReduceBench {
 public:
  // Buffers for every case with up to `inputs_max` inputs of up to `bytes_max`.
  static Result<ReduceBench> open(std::vector<int> cpus, std::uint64_t inputs_max, std::uint64_t bytes_max);
  ReduceBench(ReduceBench&&) noexcept;
  ReduceBench& operator=(ReduceBench&&) noexcept;
  ~ReduceBench();

  // Bytes of traffic a second over all processors. kCorrupt: a result differs from the scalar path's.
  Result<double> measure(const ReduceCase& which, std::chrono::nanoseconds duration, std::stop_token stop);

  // Whether a case of this size uses non-temporal stores: where its buffers do not fit the caches.
  bool non_temporal(std::uint64_t inputs, std::uint64_t bytes) const noexcept;
  const std::vector<int>& cpus() const noexcept;

 private:
  struct State;
  explicit ReduceBench(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

// Plain kernels' rates, bytes a second.
struct PlainRates {
  double copy = 0;
  double triad = 0;
  double read = 0;
};
// The bound above, as a rate of traffic in bytes a second. Pure. REQUIRES: inputs >= 1, rates above 0.
double reduce_bound(std::uint64_t inputs, const PlainRates& rates) noexcept;

}  // namespace ff::bench
