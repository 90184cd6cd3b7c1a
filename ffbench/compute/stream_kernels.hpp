// The seam between the measurement (stream.cc) and the loops of one instruction set.
//
// Plain function pointers only: a file compiled with -mavx512f must not instantiate inline functions that the rest of
// the program shares, because the linker may keep that copy for everybody.
// REQUIRES  pointers aligned to 64 bytes, count a multiple of kStreamUnit, arrays apart from each other.
#pragma once

#include <cstddef>

namespace ff::bench {

inline constexpr std::size_t kStreamUnit = 64;  // doubles

struct StreamKernels {
  const char* name;
  void (*copy)(double* to, const double* from, std::size_t count, bool non_temporal);
  void (*scale)(double* to, const double* from, double s, std::size_t count, bool non_temporal);
  void (*add)(double* to, const double* x, const double* y, std::size_t count, bool non_temporal);
  void (*triad)(double* to, const double* x, const double* y, double s, std::size_t count, bool non_temporal);
  double (*read)(const double* from, std::size_t count);  // the sum
  void (*write)(double* to, double value, std::size_t count, bool non_temporal);
};

extern const StreamKernels kPlainStream;   // any processor; non_temporal is ignored
extern const StreamKernels kSse2Stream;    // x86-64 only
extern const StreamKernels kAvx2Stream;    // x86-64 only
extern const StreamKernels kAvx512Stream;  // x86-64 only

// The sets that this processor can run, the best first, the plain one last; terminated by null.
const StreamKernels* const* stream_kernels() noexcept;

}  // namespace ff::bench
