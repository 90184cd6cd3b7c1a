#include <immintrin.h>

#include "ffbench/compute/stream_loops.hpp"

namespace ff::bench {
namespace {

struct Ops {
  using Vector = __m128d;
  static void stream(double* to, Vector value) { _mm_stream_pd(to, value); }
  static void fence() { _mm_sfence(); }
};

}  // namespace

const StreamKernels kSse2Stream = StreamLoops<Ops>::kernels("sse2");

}  // namespace ff::bench
