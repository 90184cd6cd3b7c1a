// A tile of kRows x kVectors registers; unnamed namespace for the reason that stream_loops.hpp gives. The register type
// is a vector of floats; a * b + c becomes one fused operation where the flags of the including file allow it.
#pragma once

#include "ffbench/compute/gemm_kernels.hpp"

namespace ff::bench {
namespace {

template <class Vector, std::int64_t kRows, std::int64_t kVectors>
void multiply_tile(const float* a, const float* b, std::int64_t depth, float* c, std::int64_t stride) {
  constexpr std::int64_t kLanes = sizeof(Vector) / sizeof(float);
  Vector sums[kRows][kVectors] = {};
  for (std::int64_t p = 0; p < depth; ++p) {
    Vector columns[kVectors];
#pragma GCC unroll 4
    for (std::int64_t v = 0; v < kVectors; ++v) __builtin_memcpy(&columns[v], b + v * kLanes, sizeof(Vector));
#pragma GCC unroll 16
    for (std::int64_t r = 0; r < kRows; ++r) {
      const Vector row = Vector{} + a[r];
#pragma GCC unroll 4
      for (std::int64_t v = 0; v < kVectors; ++v) sums[r][v] = row * columns[v] + sums[r][v];
    }
    a += kRows;
    b += kVectors * kLanes;
  }
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::int64_t v = 0; v < kVectors; ++v) {
      Vector before;
      __builtin_memcpy(&before, c + r * stride + v * kLanes, sizeof(Vector));
      before += sums[r][v];
      __builtin_memcpy(c + r * stride + v * kLanes, &before, sizeof(Vector));
    }
  }
}

}  // namespace
}  // namespace ff::bench
