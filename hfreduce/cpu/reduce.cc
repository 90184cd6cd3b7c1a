#include "hfreduce/cpu/reduce.hpp"

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "hfreduce/cpu/kernels.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::hfreduce::cpu {
namespace {

constexpr std::size_t kInputsMax = 4096;

const KernelSet& kernels_of(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Kernels;
  if (isa == Isa::kAvx2) return kAvx2Kernels;
#endif
  FF_ASSERT(isa == Isa::kScalar, static_cast<int>(isa));
  return kScalarKernels;
}

Isa detect_best() {
  Isa best = Isa::kScalar;
  if (isa_available(Isa::kAvx2)) best = Isa::kAvx2;
  if (isa_available(Isa::kAvx512)) best = Isa::kAvx512;
  const char* wanted = std::getenv("HFR_ISA");
  if (wanted == nullptr) return best;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_name(isa) == std::string_view(wanted) && isa < best && isa_available(isa)) return isa;
  }
  return best;
}

// Bytes pass unchanged: one stream to one place is memcpy's trade; several places share one read.
void copy_on(const KernelSet& kernels, const void* in, std::span<void* const> out, std::uint64_t bytes,
             bool non_temporal) {
  if (out.size() == 1 && in == out[0]) return;
  if (out.size() == 1 && !non_temporal) {
    std::memcpy(out[0], in, bytes);
    return;
  }
  kernels.reduce({.dtype = DType::kUint8,
                  .op = ReduceOp::kSum,
                  .non_temporal = non_temporal,
                  .k = 1,
                  .m = out.size(),
                  .count = bytes,
                  .divisor = 1,
                  .divisor_f32 = 1,
                  .divisor_f64 = 1,
                  .in = &in,
                  .out = out.data()});
}

}  // namespace

std::string_view isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::kScalar: return "scalar";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
  }
  return "unknown";
}

bool isa_available(Isa isa) noexcept {
  if (isa == Isa::kScalar) return true;
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (isa == Isa::kAvx512) {
    return isa_available(Isa::kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
#endif
  return false;
}

Isa best_isa() noexcept {
  static const Isa best = detect_best();
  return best;
}

void reduce_on(Isa isa, const ReduceArgs& args, std::span<const void* const> in, std::span<void* const> out) noexcept {
  FF_ASSERT(!in.empty() && in.size() <= kInputsMax, in.size());
  FF_ASSERT(!out.empty(), out.size());
  FF_ASSERT(args.op != ReduceOp::kAvg || args.divisor >= 1, args.divisor);
  if (args.count == 0) return;
  const KernelSet& kernels = kernels_of(isa);
  if (in.size() == 1 && args.op != ReduceOp::kAvg) {
    copy_on(kernels, in[0], out, args.count * dtype_size(args.dtype), args.non_temporal);
    return;
  }
  kernels.reduce({.dtype = args.dtype,
                  .op = args.op,
                  .non_temporal = args.non_temporal,
                  .k = in.size(),
                  .m = out.size(),
                  .count = args.count,
                  .divisor = args.divisor,
                  .divisor_f32 = static_cast<float>(args.divisor),
                  .divisor_f64 = static_cast<double>(args.divisor),
                  .in = in.data(),
                  .out = out.data()});
}

void reduce(const ReduceArgs& args, std::span<const void* const> in, std::span<void* const> out) noexcept {
  reduce_on(best_isa(), args, in, out);
}

void widen_on(Isa isa, DType low, const void* in, float* out, std::uint64_t count) noexcept {
  FF_ASSERT(is_low_type(low), static_cast<int>(low));
  kernels_of(isa).widen(low, in, out, count);
}

void narrow_on(Isa isa, DType low, const float* in, void* out, std::uint64_t count) noexcept {
  FF_ASSERT(is_low_type(low), static_cast<int>(low));
  kernels_of(isa).narrow(low, in, out, count);
}

void widen(DType low, const void* in, float* out, std::uint64_t count) noexcept {
  widen_on(best_isa(), low, in, out, count);
}

void narrow(DType low, const float* in, void* out, std::uint64_t count) noexcept {
  narrow_on(best_isa(), low, in, out, count);
}

void copy(const void* in, std::span<void* const> out, std::uint64_t bytes, bool non_temporal) noexcept {
  FF_ASSERT(!out.empty(), out.size());
  if (bytes != 0) copy_on(kernels_of(best_isa()), in, out, bytes, non_temporal);
}

}  // namespace ff::hfreduce::cpu
