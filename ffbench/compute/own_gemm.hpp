// Our own matrix product, for builds without a BLAS and as a second opinion beside one: packed panels, one register
// tile after another. Slower than a tuned BLAS by some tenths; the load on the arithmetic units is the same in kind.
// Threads: one caller at a time for each object.
#pragma once

#include <cstdint>

#include "ffbench/compute/gemm_kernels.hpp"
#include "libcommon/base/aligned_buffer.hpp"

namespace ff::bench {

class OwnGemm {
 public:
  // For square matrices of this order.
  OwnGemm(const GemmTile& tile, std::int64_t order);
  // c := a * b, row-major without gaps.
  void multiply(const float* a, const float* b, float* c);

 private:
  void pack_b(const float* b, std::int64_t p0, std::int64_t depth);
  void pack_a(const float* a, std::int64_t i0, std::int64_t p0, std::int64_t depth);
  void multiply_rows(std::int64_t i0, std::int64_t depth, float* c);

  const GemmTile& tile_;
  std::int64_t order_;
  AlignedBuffer a_panel_;   // [depth][tile rows]
  AlignedBuffer b_panels_;  // [columns / tile columns][depth][tile columns]
};

}  // namespace ff::bench
