#include "ffbench/compute/isa.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ff::bench {

#if defined(__x86_64__)
// The builtin also asks whether the kernel saves the wide registers.
bool have_avx2() noexcept { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }
bool have_avx512() noexcept {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}
bool have_clflushopt() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 23 & 1) != 0;
}
#else
bool have_avx2() noexcept { return false; }
bool have_avx512() noexcept { return false; }
bool have_clflushopt() noexcept { return false; }
#endif

}  // namespace ff::bench
