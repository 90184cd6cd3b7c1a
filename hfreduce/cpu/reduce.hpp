// The arithmetic: combine k buffers into m copies of the result in one pass over memory.
//
//   out[j][i] = round( finish( in[0][i] op in[1][i] op ... ) )   for every j in [0, m), i in [0, count)
//
// Order    The pairwise order of types.hpp, by position in `in`. Same bits on every ISA path (scalar is the truth).
// Shapes   count elements of dtype, contiguous; any alignment of at least the element's size is correct, 64 bytes is
// fast. Aliasing an output may be exactly one of the inputs (in place); partial overlap is not allowed. Stores
// `non_temporal` bypasses the cache (for results larger than it); only a hint. NaN      Any NaN among the inputs of an
// element gives the one canonical NaN (fp32 0x7fc00000, fp64 0x7ff8000000000000, fp16
//          0x7e00, bf16 0x7fc0, E4M3 0x7f, E5M2 0x7e), as does an invalid operation. min and max hold -0 < +0, so they
//          do not depend on the order of inputs. The copy of a single input keeps its bits as they are.
// divisor  avg divides by it, after combining, before rounding; ignored by the other operations. REQUIRES >= 1 for avg.
// Threads  Pure; call it from any.
// Source   Fire-Flyer paper, section on HFReduce (SIMD sum of the 8 GPUs' buffers, fp32 accumulation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "hfreduce/types.hpp"

namespace ff::hfreduce::cpu {

enum class Isa : std::uint8_t { kScalar = 0, kAvx2 = 1, kAvx512 = 2 };
std::string_view isa_name(Isa isa) noexcept;
// The best path this CPU has; HFR_ISA=scalar|avx2|avx512 lowers it (asking for more than there is: ignored).
Isa best_isa() noexcept;
bool isa_available(Isa isa) noexcept;

struct ReduceArgs {
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  std::uint64_t count = 0;    // elements
  std::uint64_t divisor = 1;  // for avg
  bool non_temporal = false;
};

// REQUIRES: 1 <= in.size() <= 4096, out.size() >= 1. With one input it is a copy (and, for avg, a division).
void reduce(const ReduceArgs& args, std::span<const void* const> in, std::span<void* const> out) noexcept;
// The same on a chosen path, for tests and benchmarks. REQUIRES isa_available(isa).
void reduce_on(Isa isa, const ReduceArgs& args, std::span<const void* const> in, std::span<void* const> out) noexcept;

// Low type <-> fp32, exact when widening, round to nearest even when narrowing (fp8 saturates): bit for bit the codecs
// of float_formats.hpp, the sign of NaN included. REQUIRES is_low_type(low); `_on` also isa_available(isa).
void widen(DType low, const void* in, float* out, std::uint64_t count) noexcept;
void narrow(DType low, const float* in, void* out, std::uint64_t count) noexcept;
void widen_on(Isa isa, DType low, const void* in, float* out, std::uint64_t count) noexcept;
void narrow_on(Isa isa, DType low, const float* in, void* out, std::uint64_t count) noexcept;

// Copy to several places in one pass; non-temporal as above.
void copy(const void* in, std::span<void* const> out, std::uint64_t bytes, bool non_temporal) noexcept;

}  // namespace ff::hfreduce::cpu
