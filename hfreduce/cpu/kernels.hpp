// The seam between the dispatcher (reduce.cc) and the code of one instruction set.
//
// Plain structs and function pointers only: a translation unit compiled with -mavx512f must not instantiate inline
// functions that the rest of the program shares (std::span, std::min, ...), because the linker may keep that copy for
// everybody and the program then dies on an older processor. Kernels also check nothing: reduce.cc did.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hfreduce/types.hpp"

namespace ff::hfreduce::cpu {

struct KernelCall {
  DType dtype;
  ReduceOp op;
  bool non_temporal;
  std::size_t k;          // inputs, >= 1
  std::size_t m;          // outputs, >= 1
  std::uint64_t count;    // elements, >= 1
  std::uint64_t divisor;  // for avg
  float divisor_f32;      // the same, rounded once
  double divisor_f64;
  const void* const* in;  // [k]
  void* const* out;       // [m]
};

struct KernelSet {
  void (*reduce)(const KernelCall& call) noexcept;
  void (*widen)(DType low, const void* in, float* out, std::uint64_t count) noexcept;
  void (*narrow)(DType low, const float* in, void* out, std::uint64_t count) noexcept;
};

extern const KernelSet kScalarKernels;
extern const KernelSet kAvx2Kernels;    // x86-64 only: AVX2 and F16C
extern const KernelSet kAvx512Kernels;  // x86-64 only: AVX-512 F, BW, DQ, VL

}  // namespace ff::hfreduce::cpu
