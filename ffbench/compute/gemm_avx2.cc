#include "ffbench/compute/gemm_tile_loops.hpp"

namespace ff::bench {
namespace {

typedef float Vector __attribute__((vector_size(32)));

}  // namespace

const GemmTile kAvx2Tile = {"avx2", 6, 2 * 32 / sizeof(float), multiply_tile<Vector, 6, 2>};

}  // namespace ff::bench
