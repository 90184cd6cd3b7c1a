#include "ffbench/compute/gemm_tile_loops.hpp"

namespace ff::bench {
namespace {

typedef float Vector __attribute__((vector_size(16)));

}  // namespace

const GemmTile kPlainTile = {"plain", 4, 2 * 16 / sizeof(float), multiply_tile<Vector, 4, 2>};

}  // namespace ff::bench
