#include <immintrin.h>

#include "ffbench/compute/stream_loops.hpp"

namespace ff::bench {
namespace {

struct Ops {
  using Vector = __m256d;
  static void stream(double* to, Vector value) { _mm256_stream_pd(to, value); }
  static void fence() { _mm_sfence(); }
};

}  // namespace

const StreamKernels kAvx2Stream = StreamLoops<Ops>::kernels("avx2");

}  // namespace ff::bench
