// Partial results: what several ranks' inputs are between the first combination and the last. Low types are fp32 there,
// so that they are rounded once, at the end; all others are themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "hfreduce/types.hpp"

namespace ff::hfreduce::net {

struct Part {
  const void* data = nullptr;
  bool raw = true;  // elements of the call's type; else partial
};

std::uint64_t partial_size(DType dtype) noexcept;  // bytes of one partial element

// out = parts[0] op parts[1] op ... in pairwise order, at most kPartsMax. `out` may be one of the non-raw parts.
inline constexpr std::size_t kPartsMax = 3;
void combine_partial(DType dtype, ReduceOp op, std::span<const Part> parts, std::uint64_t count, void* out) noexcept;
// The same, finished: divided for avg, rounded to the call's type. `out` may be one of the raw parts.
void combine_final(DType dtype, ReduceOp op, std::uint64_t divisor, std::span<const Part> parts, std::uint64_t count,
                   void* out) noexcept;

}  // namespace ff::hfreduce::net
