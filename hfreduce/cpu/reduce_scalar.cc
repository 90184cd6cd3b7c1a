// The plain path: what every other path must equal bit for bit, and the only one on processors that are not x86.
//
// Blocks of kBlock elements go through a binary counter of partial results. Input j enters as a partial over one rank;
// two partials over equally many ranks merge at once (as bits carry when counting), so that after k inputs the stack
// holds one partial for each set bit of k, widest first, and folding it from the right gives the tree of types.hpp.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "hfreduce/cpu/float_formats.hpp"
#include "hfreduce/cpu/kernels.hpp"

namespace ff::hfreduce::cpu {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::size_t kLevels = 14;  // 4096 = 2^12 inputs: 12 pending partials, the full one, and the one arriving

template <class T>
struct Plain {
  using Element = T;
  using Acc = T;
  static Acc decode(T value) { return value; }
  static T encode(Acc value) { return value; }
};

template <class Code, float (*Decode)(Code) noexcept, Code (*Encode)(float) noexcept>
struct Low {
  using Element = Code;
  using Acc = float;
  static float decode(Code code) { return Decode(code); }
  static Code encode(float value) { return Encode(value); }
};
using Fp16 = Low<std::uint16_t, fp16_to_float, float_to_fp16>;
using Bf16 = Low<std::uint16_t, bf16_to_float, float_to_bf16>;
using E4M3 = Low<std::uint8_t, e4m3_to_float, float_to_e4m3>;
using E5M2 = Low<std::uint8_t, e5m2_to_float, float_to_e5m2>;

// The smaller (or larger) of two; NaN wins, and -0 is below +0, so that the order of operands does not matter.
template <bool Min, class T>
T extreme(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a)) return a;
    if (std::isnan(b)) return b;
    if (a == b) return std::signbit(a) == Min ? a : b;
  }
  return (a < b) == Min ? a : b;
}

// Integers wrap: sums and products are taken in an unsigned type at least as wide as int, then cut.
template <ReduceOp Op, class T>
T combine(T a, T b) {
  if constexpr (Op == ReduceOp::kMin)
    return extreme<true>(a, b);
  else if constexpr (Op == ReduceOp::kMax)
    return extreme<false>(a, b);
  else if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<std::uint64_t>(a);
    const auto y = static_cast<std::uint64_t>(b);
    return static_cast<T>(Op == ReduceOp::kProd ? x * y : x + y);
  } else {
    return Op == ReduceOp::kProd ? a * b : a + b;
  }
}

template <ReduceOp Op, class T>
T finish(T value, const KernelCall& call) {
  if constexpr (std::is_integral_v<T>) {
    if constexpr (Op != ReduceOp::kAvg) return value;
    const bool negative = value < 0;
    const auto magnitude = negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    const std::uint64_t quotient = magnitude / call.divisor;
    return static_cast<T>(negative ? 0 - quotient : quotient);
  } else {
    if constexpr (Op == ReduceOp::kAvg)
      value /= static_cast<T>(std::is_same_v<T, float> ? call.divisor_f32 : call.divisor_f64);
    return std::isnan(value) ? std::numeric_limits<T>::quiet_NaN() : value;  // one NaN, whatever went in
  }
}

template <class C, ReduceOp Op>
void reduce_as(const KernelCall& call) {
  using Acc = typename C::Acc;
  using Element = typename C::Element;
  Acc stack[kLevels][kBlock];
  for (std::uint64_t start = 0; start < call.count; start += kBlock) {
    const std::size_t n = call.count - start < kBlock ? static_cast<std::size_t>(call.count - start) : kBlock;
    std::size_t top = 0;
    for (std::size_t j = 0; j < call.k; ++j) {
      const auto* in = static_cast<const char*>(call.in[j]) + start * sizeof(Element);
      for (std::size_t i = 0; i < n; ++i) {
        Element element;
        std::memcpy(&element, in + i * sizeof(Element), sizeof(Element));
        stack[top][i] = C::decode(element);
      }
      ++top;
      for (std::size_t carry = j; (carry & 1) != 0; carry >>= 1, --top) {
        for (std::size_t i = 0; i < n; ++i) stack[top - 2][i] = combine<Op>(stack[top - 2][i], stack[top - 1][i]);
      }
    }
    for (; top > 1; --top) {
      for (std::size_t i = 0; i < n; ++i) stack[top - 2][i] = combine<Op>(stack[top - 2][i], stack[top - 1][i]);
    }
    Element result[kBlock];
    for (std::size_t i = 0; i < n; ++i) result[i] = C::encode(finish<Op>(stack[0][i], call));
    for (std::size_t j = 0; j < call.m; ++j) {
      std::memcpy(static_cast<char*>(call.out[j]) + start * sizeof(Element), result, n * sizeof(Element));
    }
  }
}

template <class C>
void reduce_by_op(const KernelCall& call) {
  switch (call.op) {
    case ReduceOp::kSum: return reduce_as<C, ReduceOp::kSum>(call);
    case ReduceOp::kAvg: return reduce_as<C, ReduceOp::kAvg>(call);
    case ReduceOp::kMin: return reduce_as<C, ReduceOp::kMin>(call);
    case ReduceOp::kMax: return reduce_as<C, ReduceOp::kMax>(call);
    case ReduceOp::kProd: return reduce_as<C, ReduceOp::kProd>(call);
  }
}

void reduce_scalar(const KernelCall& call) noexcept {
  switch (call.dtype) {
    case DType::kFloat32: return reduce_by_op<Plain<float>>(call);
    case DType::kFloat16: return reduce_by_op<Fp16>(call);
    case DType::kBfloat16: return reduce_by_op<Bf16>(call);
    case DType::kFloat8E4M3: return reduce_by_op<E4M3>(call);
    case DType::kFloat8E5M2: return reduce_by_op<E5M2>(call);
    case DType::kFloat64: return reduce_by_op<Plain<double>>(call);
    case DType::kInt8: return reduce_by_op<Plain<std::int8_t>>(call);
    case DType::kUint8: return reduce_by_op<Plain<std::uint8_t>>(call);
    case DType::kInt32: return reduce_by_op<Plain<std::int32_t>>(call);
    case DType::kInt64: return reduce_by_op<Plain<std::int64_t>>(call);
  }
}

template <class C>
void widen_as(const void* in, float* out, std::uint64_t count) {
  const auto* codes = static_cast<const typename C::Element*>(in);
  for (std::uint64_t i = 0; i < count; ++i) out[i] = C::decode(codes[i]);
}

template <class C>
void narrow_as(const float* in, void* out, std::uint64_t count) {
  auto* codes = static_cast<typename C::Element*>(out);
  for (std::uint64_t i = 0; i < count; ++i) codes[i] = C::encode(in[i]);
}

void widen_scalar(DType low, const void* in, float* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return widen_as<Fp16>(in, out, count);
    case DType::kBfloat16: return widen_as<Bf16>(in, out, count);
    case DType::kFloat8E4M3: return widen_as<E4M3>(in, out, count);
    default: return widen_as<E5M2>(in, out, count);
  }
}

void narrow_scalar(DType low, const float* in, void* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return narrow_as<Fp16>(in, out, count);
    case DType::kBfloat16: return narrow_as<Bf16>(in, out, count);
    case DType::kFloat8E4M3: return narrow_as<E4M3>(in, out, count);
    default: return narrow_as<E5M2>(in, out, count);
  }
}

}  // namespace

const KernelSet kScalarKernels{reduce_scalar, widen_scalar, narrow_scalar};

}  // namespace ff::hfreduce::cpu
