#include "hfreduce/cmd/perf_pattern.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ff::hfreduce::cmd {
namespace {

struct FloatShape {
  int exponent_bits, mantissa_bits;
};

// Of the OCP and IEEE formats; {0, 0} for integers.
FloatShape float_shape(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return {11, 52};
    case DType::kFloat32: return {8, 23};
    case DType::kBfloat16: return {8, 7};
    case DType::kFloat16: return {5, 10};
    case DType::kFloat8E5M2: return {5, 2};
    case DType::kFloat8E4M3: return {4, 3};
    default: return {0, 0};
  }
}

// Integers from 0 to here are all exact, and so are their sums up to here.
std::int64_t exact_limit(DType dtype) {
  const FloatShape shape = float_shape(dtype);
  if (shape.mantissa_bits > 0) return std::int64_t{1} << std::min(shape.mantissa_bits + 1, 20);
  return dtype == DType::kInt8 ? 127 : dtype == DType::kUint8 ? 255 : std::int64_t{1} << 20;
}

std::uint64_t mix(std::uint64_t x) {  // finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// A value from 0 to `max`, which looks random but follows from the place.
std::int64_t draw(int rank, std::uint64_t index, std::int64_t max) {
  const std::uint64_t seed = (static_cast<std::uint64_t>(rank) + 1) * 0x9e3779b97f4a7c15ull + index;
  return static_cast<std::int64_t>(mix(seed) % static_cast<std::uint64_t>(max + 1));
}

}  // namespace

void encode_small_integer(DType dtype, std::int64_t value, std::byte* out) {
  const FloatShape shape = float_shape(dtype);
  auto bits = static_cast<std::uint64_t>(value);
  if (shape.mantissa_bits > 0 && value != 0) {
    const auto magnitude = static_cast<std::uint64_t>(value < 0 ? -value : value);
    const int exponent = std::bit_width(magnitude) - 1;
    const std::uint64_t fraction = magnitude - (std::uint64_t{1} << exponent);
    const int shift = shape.mantissa_bits - exponent;
    const std::uint64_t mantissa = shift >= 0 ? fraction << shift : fraction >> -shift;
    const auto biased = static_cast<std::uint64_t>(exponent + (1 << (shape.exponent_bits - 1)) - 1);
    const std::uint64_t sign = value < 0 ? 1 : 0;
    bits = sign << (shape.exponent_bits + shape.mantissa_bits) | biased << shape.mantissa_bits | mantissa;
  }
  for (std::size_t i = 0; i < dtype_size(dtype); ++i) out[i] = static_cast<std::byte>(bits >> (8 * i));
}

PerfPattern::PerfPattern(DType dtype, ReduceOp op, int ranks, bool reduces)
    : dtype_(dtype), op_(op), ranks_(ranks), reduces_(reduces), element_(dtype_size(dtype)) {
  for (int rank = 0; rank < ranks; ++rank) {
    auto& table = inputs_.emplace_back(kPeriod * element_);
    for (std::uint64_t i = 0; i < kPeriod; ++i)
      encode_small_integer(dtype, input(rank, i), table.data() + i * element_);
  }
  if (!reduces) return;
  reduced_.resize(kPeriod * element_);
  for (std::uint64_t i = 0; i < kPeriod; ++i) encode_small_integer(dtype, reduced(i), reduced_.data() + i * element_);
}

std::int64_t PerfPattern::input(int rank, std::uint64_t index) const {
  const std::int64_t limit = exact_limit(dtype_);
  if (!reduces_ || op_ == ReduceOp::kMin || op_ == ReduceOp::kMax) return draw(rank, index, limit);
  const auto place = index + static_cast<std::uint64_t>(rank);
  const auto ranks = static_cast<std::uint64_t>(ranks_);
  if (op_ == ReduceOp::kProd) {
    // Powers of two are exact; six factors of two fit every type. Their number depends on the place.
    const std::uint64_t twos = 1 + index % std::min<std::uint64_t>(ranks, 6);
    return place % ranks < std::min(twos, ranks) ? 2 : 1;
  }
  if (op_ == ReduceOp::kAvg) {
    // The same base on all ranks, moved up on one and down on its neighbour: the average is the base.
    const bool small_integer = element_ == 1 && float_shape(dtype_).mantissa_bits == 0;
    const std::int64_t base = draw(0, index, small_integer ? limit / ranks_ : std::min<std::int64_t>(limit - 1, 100));
    if (rank % 2 == 0) return rank + 1 < ranks_ ? base + 1 : base;
    return base - 1;
  }
  if (limit >= ranks_) return draw(rank, index, limit / ranks_);
  const std::uint64_t every = (ranks + static_cast<std::uint64_t>(limit) - 1) / static_cast<std::uint64_t>(limit);
  return place % every == 0 ? 1 : 0;  // so many ranks that only some may add
}

std::int64_t PerfPattern::reduced(std::uint64_t index) const {
  std::int64_t result = input(0, index);
  for (int rank = 1; rank < ranks_; ++rank) {
    const std::int64_t value = input(rank, index);
    switch (op_) {
      case ReduceOp::kSum:
      case ReduceOp::kAvg: result += value; break;
      case ReduceOp::kProd: result *= value; break;
      case ReduceOp::kMin: result = std::min(result, value); break;
      case ReduceOp::kMax: result = std::max(result, value); break;
    }
  }
  return op_ == ReduceOp::kAvg ? result / ranks_ : result;
}

void PerfPattern::fill(int rank, std::uint64_t first, std::span<std::byte> out) const {
  const std::vector<std::byte>& table = inputs_[static_cast<std::size_t>(rank)];
  std::size_t at = first % kPeriod * element_;
  while (!out.empty()) {
    const std::size_t bytes = std::min(out.size(), table.size() - at);
    std::memcpy(out.data(), table.data() + at, bytes);
    out = out.subspan(bytes);
    at = 0;
  }
}

std::uint64_t PerfPattern::compare(const std::vector<std::byte>& table, std::uint64_t first,
                                   std::span<const std::byte> got) const {
  std::uint64_t wrong = 0;
  std::size_t at = first % kPeriod * element_;
  while (!got.empty()) {
    const std::size_t bytes = std::min(got.size(), table.size() - at);
    if (std::memcmp(got.data(), table.data() + at, bytes) != 0)
      for (std::size_t i = 0; i < bytes; i += element_)
        wrong += std::memcmp(got.data() + i, table.data() + at + i, element_) != 0 ? 1 : 0;
    got = got.subspan(bytes);
    at = 0;
  }
  return wrong;
}

std::uint64_t PerfPattern::count_wrong(int rank, std::uint64_t first, std::span<const std::byte> got) const {
  return compare(inputs_[static_cast<std::size_t>(rank)], first, got);
}

std::uint64_t PerfPattern::count_wrong_reduced(std::uint64_t first, std::span<const std::byte> got) const {
  return compare(reduced_, first, got);
}

}  // namespace ff::hfreduce::cmd
