#include <immintrin.h>

#include "ffbench/compute/stream_loops.hpp"

namespace ff::bench {
namespace {

struct Ops {
  using Vector = __m512d;
  static void stream(double* to, Vector value) { _mm512_stream_pd(to, value); }
  static void fence() { _mm_sfence(); }
};

}  // namespace

const StreamKernels kAvx512Stream = StreamLoops<Ops>::kernels("avx512");

}  // namespace ff::bench
