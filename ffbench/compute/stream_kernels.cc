#include "ffbench/compute/stream_kernels.hpp"

#include "ffbench/compute/isa.hpp"

namespace ff::bench {

const StreamKernels* const* stream_kernels() noexcept {
#if defined(__x86_64__)
  static const StreamKernels* const kAll[] = {&kAvx512Stream, &kAvx2Stream, &kSse2Stream, &kPlainStream, nullptr};
  return kAll + (have_avx512() ? 0 : have_avx2() ? 1 : 2);
#else
  static const StreamKernels* const kAll[] = {&kPlainStream, nullptr};
  return kAll;
#endif
}

}  // namespace ff::bench
