// The seam between our matrix product (own_gemm.cc) and the tile that one instruction set computes in registers.
// Plain function pointers only, for the reason that stream_kernels.hpp gives.
#pragma once

#include <cstdint>

namespace ff::bench {

inline constexpr std::int64_t kTileRowsMax = 14;
inline constexpr std::int64_t kTileColumnsMax = 32;

struct GemmTile {
  const char* name;
  std::int64_t rows;
  std::int64_t columns;
  // c[r][j] += sum over p < depth of a[p * rows + r] * b[p * columns + j], for the whole tile. `b` and `c` are aligned
  // to 4 bytes at least; `stride` elements from row to row of c.
  void (*multiply)(const float* a, const float* b, std::int64_t depth, float* c, std::int64_t stride);
};

extern const GemmTile kPlainTile;   // any processor
extern const GemmTile kAvx2Tile;    // x86-64 with AVX2 and FMA
extern const GemmTile kAvx512Tile;  // x86-64 with AVX-512

// The tiles that this processor can run, the best first, terminated by null.
const GemmTile* const* gemm_tiles() noexcept;

}  // namespace ff::bench
