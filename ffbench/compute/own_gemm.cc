#include "ffbench/compute/own_gemm.hpp"

#include <algorithm>
#include <cstring>

#include "ffbench/compute/isa.hpp"

namespace ff::bench {
namespace {

// Terms a tile adds before it goes back to c: a panel of b (kDepth x columns) stays in the first-level cache.
constexpr std::int64_t kDepth = 256;

std::size_t floats(std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); }

}  // namespace

const GemmTile* const* gemm_tiles() noexcept {
#if defined(__x86_64__)
  static const GemmTile* const kAll[] = {&kAvx512Tile, &kAvx2Tile, &kPlainTile, nullptr};
  return kAll + (have_avx512() ? 0 : have_avx2() ? 1 : 2);
#else
  static const GemmTile* const kAll[] = {&kPlainTile, nullptr};
  return kAll;
#endif
}

OwnGemm::OwnGemm(const GemmTile& tile, std::int64_t order)
    : tile_(tile),
      order_(order),
      a_panel_(floats(kDepth * tile.rows)),
      b_panels_(floats((order + tile.columns - 1) / tile.columns * tile.columns * kDepth)) {}

// Columns beyond the edge are zero: they add nothing to a tile that reaches over it.
void OwnGemm::pack_b(const float* b, std::int64_t p0, std::int64_t depth) {
  float* to = b_panels_.as<float>();
  for (std::int64_t j0 = 0; j0 < order_; j0 += tile_.columns) {
    const std::int64_t width = std::min(tile_.columns, order_ - j0);
    for (std::int64_t p = 0; p < depth; ++p, to += tile_.columns) {
      std::memcpy(to, b + (p0 + p) * order_ + j0, floats(width));
      std::fill(to + width, to + tile_.columns, 0.0f);
    }
  }
}

void OwnGemm::pack_a(const float* a, std::int64_t i0, std::int64_t p0, std::int64_t depth) {
  float* const to = a_panel_.as<float>();
  for (std::int64_t r = 0; r < tile_.rows; ++r) {
    const bool inside = i0 + r < order_;
    const float* const row = a + (i0 + r) * order_ + p0;
    for (std::int64_t p = 0; p < depth; ++p) to[p * tile_.rows + r] = inside ? row[p] : 0.0f;
  }
}

void OwnGemm::multiply_rows(std::int64_t i0, std::int64_t depth, float* c) {
  const std::int64_t height = std::min(tile_.rows, order_ - i0);
  for (std::int64_t j0 = 0; j0 < order_; j0 += tile_.columns) {
    const float* const b = b_panels_.as<float>() + j0 * depth;
    const std::int64_t width = std::min(tile_.columns, order_ - j0);
    if (height == tile_.rows && width == tile_.columns) {
      tile_.multiply(a_panel_.as<float>(), b, depth, c + i0 * order_ + j0, order_);
      continue;
    }
    float edge[kTileRowsMax * kTileColumnsMax] = {};
    tile_.multiply(a_panel_.as<float>(), b, depth, edge, tile_.columns);
    for (std::int64_t r = 0; r < height; ++r) {
      for (std::int64_t j = 0; j < width; ++j) c[(i0 + r) * order_ + j0 + j] += edge[r * tile_.columns + j];
    }
  }
}

void OwnGemm::multiply(const float* a, const float* b, float* c) {
  std::fill(c, c + order_ * order_, 0.0f);
  for (std::int64_t p0 = 0; p0 < order_; p0 += kDepth) {
    const std::int64_t depth = std::min(kDepth, order_ - p0);
    pack_b(b, p0, depth);
    for (std::int64_t i0 = 0; i0 < order_; i0 += tile_.rows) {
      pack_a(a, i0, p0, depth);
      multiply_rows(i0, depth, c);
    }
  }
}

}  // namespace ff::bench
