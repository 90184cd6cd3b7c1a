#include "ffbench/compute/gemm_tile_loops.hpp"

namespace ff::bench {
namespace {

typedef float Vector __attribute__((vector_size(64)));

}  // namespace

const GemmTile kAvx512Tile = {"avx512", 14, 2 * 64 / sizeof(float), multiply_tile<Vector, 14, 2>};

}  // namespace ff::bench
