// Test data whose results are known without the library: small integers that every type holds exactly, different for
// each rank and place, chosen so that every reduction of them is exact too, in whatever order it is done.
//
// The values repeat after kPeriod elements, a prime, so that data which ends up at another offset does not fit. The
// expectation is computed here in 64-bit integers and turned into the type's bytes by a few lines of our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hfreduce/types.hpp"

namespace ff::hfreduce::cmd {

// The bytes of a small integer in the type; values that the type holds exactly. Little-endian.
void encode_small_integer(DType dtype, std::int64_t value, std::byte* out);

class PerfPattern {
 public:
  static constexpr std::uint64_t kPeriod = 4093;

  // `reduces`: the values are limited so that `op` over all ranks is exact in `dtype`.
  PerfPattern(DType dtype, ReduceOp op, int ranks, bool reduces);

  // Elements first, first + 1, ... of rank's input. REQUIRES: out.size() is a multiple of the element's size.
  void fill(int rank, std::uint64_t first, std::span<std::byte> out) const;
  // How many elements differ from that rank's input, or from the reduction of all ranks' inputs.
  std::uint64_t count_wrong(int rank, std::uint64_t first, std::span<const std::byte> got) const;
  std::uint64_t count_wrong_reduced(std::uint64_t first, std::span<const std::byte> got) const;

 private:
  std::int64_t input(int rank, std::uint64_t index) const;
  std::int64_t reduced(std::uint64_t index) const;
  std::uint64_t compare(const std::vector<std::byte>& table, std::uint64_t first, std::span<const std::byte> got) const;

  DType dtype_;
  ReduceOp op_;
  int ranks_;
  bool reduces_;
  std::size_t element_;
  std::vector<std::vector<std::byte>> inputs_;  // one period of each rank
  std::vector<std::byte> reduced_;
};

}  // namespace ff::hfreduce::cmd
