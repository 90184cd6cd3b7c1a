// AVX2 and F16C. No fused multiply-add anywhere: results must equal the scalar path bit for bit.
//
// 16-bit and 8-bit codes are split into even and odd elements by shifts and masks instead of unpacking: the halves of a
// register are then decoded, combined and encoded apart and joined again by a shift, so no shuffles are needed.
// fp8     E5M2 is the upper byte of fp16. E4M3 moved into fp16's fields has an exponent 8 too small: accumulators hold
//         values times 2^-8 (exact; powers of two commute with rounding) for every operation but prod, which scales.
// Rounding to fp8 adds a power of two whose last place is the code's last place: the addition itself then rounds to
//         nearest even, for normal and subnormal codes alike, and the low bits of the sum are the mantissa.
//         sum, min and max have a shorter way through fp16: every input, so every partial sum, is a multiple of the
//         smallest code, hence results below the normal range are codes exactly; above it, cutting to fp16 with the
//         lost bits ORed into its last place (rounding to odd) keeps all that the second rounding, in 16-bit lanes, has
//         to know. Registers in which something is NaN, infinite or saturates take the long way.
#include <immintrin.h>

#include "hfreduce/cpu/vector_kernels.hpp"

namespace ff::hfreduce::cpu {
namespace {

struct Avx2 {
  using Raw = __m256i;
  static constexpr std::size_t kLoad = 1;
  static void store(char* to, Raw raw) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), raw); }
  static void stream(char* to, Raw raw) { _mm256_stream_si256(reinterpret_cast<__m256i*>(to), raw); }
  static void fence() { _mm_sfence(); }
};

inline __m256i load_raw(const char* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
inline __m256i bits(__m256 x) { return _mm256_castps_si256(x); }
inline __m256 floats(__m256i x) { return _mm256_castsi256_ps(x); }

// What all codecs with fp32 accumulators share.
struct Fp32Math : Avx2 {
  using Acc = __m256;
  struct Finish {
    __m256 divisor;
  };
  static Finish finish_of(const KernelCall& call) { return {_mm256_set1_ps(call.divisor_f32)}; }

  static __m256 nan_if_unordered(__m256 a, __m256 b) {
    return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), floats(_mm256_set1_epi32(0x7fc00000)));
  }
  // min and max of the instruction set return the second operand for equals and NaN: taking both orders and joining
  // their bits settles the sign of zero; the bits of a NaN on top keep NaN.
  template <ReduceOp Op>
  static __m256 combine(__m256 a, __m256 b) {
    if constexpr (Op == ReduceOp::kProd)
      return _mm256_mul_ps(a, b);
    else if constexpr (Op == ReduceOp::kMin) {
      const __m256 least = _mm256_or_ps(_mm256_min_ps(a, b), _mm256_min_ps(b, a));
      return _mm256_or_ps(least, nan_if_unordered(a, b));
    } else if constexpr (Op == ReduceOp::kMax) {
      const __m256 most = _mm256_and_ps(_mm256_max_ps(a, b), _mm256_max_ps(b, a));
      return _mm256_or_ps(most, nan_if_unordered(a, b));
    } else {
      return _mm256_add_ps(a, b);
    }
  }
  template <ReduceOp Op>
  static __m256 finished(__m256 x, Finish finish) {
    if constexpr (Op == ReduceOp::kAvg) x = _mm256_div_ps(x, finish.divisor);
    const __m256 nan = floats(_mm256_set1_epi32(0x7fc00000));
    return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }
};

struct F32 : Fp32Math {
  static constexpr std::size_t kElementBytes = 4;
  static constexpr std::size_t kAccs = 1;
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    acc[0] = floats(load_raw(from));
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    return bits(finished<Op>(acc[0], finish));
  }
};

struct Fp16 : Fp32Math {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr std::size_t kAccs = 2;
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    acc[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * Step)));
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    const __m128i low = _mm256_cvtps_ph(finished<Op>(acc[0], finish), _MM_FROUND_TO_NEAREST_INT);
    const __m128i high = _mm256_cvtps_ph(finished<Op>(acc[1], finish), _MM_FROUND_TO_NEAREST_INT);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  }
};

// Upper halves rounded to nearest even; x is no NaN, or the canonical one, which rounds to itself.
inline __m256i rounded_bf16(__m256 x) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits(x), 16), _mm256_set1_epi32(1));
  return _mm256_add_epi32(_mm256_add_epi32(bits(x), _mm256_set1_epi32(0x7fff)), odd);
}

struct Bf16 : Fp32Math {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr std::size_t kLoad = 2;
  static constexpr std::size_t kAccs = 2;
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    const __m256i raw = load_raw(from);
    acc[0] = floats(_mm256_slli_epi32(raw, 16));
    acc[1] = floats(_mm256_and_si256(raw, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    const __m256i even = _mm256_srli_epi32(rounded_bf16(finished<Op>(acc[0], finish)), 16);
    const __m256i odd = rounded_bf16(finished<Op>(acc[1], finish));
    return _mm256_blend_epi16(even, odd, 0xaa);
  }
};

// Magnitude codes with the sign at bit 7, in 32-bit lanes. Mantissa bits, the fp32 exponent field of the smallest
// normal code, and the fp32 bits of the largest finite value and of the value whose code would be the format's NaN
// code.
template <int Mantissa, int MinExponent, std::uint32_t Max, std::uint32_t NaN, bool HasInf>
inline __m256i fp8_codes(__m256 x) {
  constexpr int kShift = 23 - Mantissa;
  const __m256i magnitude = _mm256_and_si256(bits(x), _mm256_set1_epi32(0x7fffffff));
  const __m256 most = floats(_mm256_set1_epi32(static_cast<int>(Max)));
  __m256i clamped = bits(_mm256_min_ps(most, floats(magnitude)));  // a NaN in the second operand stays
  clamped = _mm256_min_epu32(clamped, _mm256_set1_epi32(static_cast<int>(NaN)));
  const __m256i exponent =
      _mm256_max_epi32(_mm256_and_si256(clamped, _mm256_set1_epi32(0x7f800000)), _mm256_set1_epi32(MinExponent << 23));
  const __m256i magic = _mm256_add_epi32(exponent, _mm256_set1_epi32(kShift << 23));
  const __m256i sum = bits(_mm256_add_ps(floats(clamped), floats(magic)));
  const __m256i binade =
      _mm256_sub_epi32(_mm256_srli_epi32(exponent, kShift), _mm256_set1_epi32(MinExponent << Mantissa));
  __m256i code = _mm256_add_epi32(_mm256_sub_epi32(sum, magic), binade);
  if constexpr (HasInf) code = _mm256_sub_epi32(code, _mm256_cmpeq_epi32(magnitude, _mm256_set1_epi32(0x7f800000)));
  return _mm256_or_si256(code, _mm256_and_si256(_mm256_srli_epi32(bits(x), 24), _mm256_set1_epi32(0x80)));
}
// 448 and 480 times 2^-8 when scaled.
inline __m256i e4m3_codes(__m256 x) { return fp8_codes<3, 121, 0x43e00000, 0x43f00000, false>(x); }
inline __m256i e4m3_codes_scaled(__m256 x) { return fp8_codes<3, 113, 0x3fe00000, 0x3ff00000, false>(x); }
// 57344; 98304 would be 0x7e.
inline __m256i e5m2_codes(__m256 x) { return fp8_codes<2, 113, 0x47600000, 0x47c00000, true>(x); }

// E4M3 in fp16's fields (times 2^-8) from codes at bits 15..8, sign extended one place down: s s eeee mmm 0000000.
inline __m256i e4m3_fields(__m256i shifted) {
  const __m256i fields = _mm256_and_si256(shifted, _mm256_set1_epi16(static_cast<short>(0xbf80)));
  const __m256i carry = _mm256_add_epi16(fields, _mm256_set1_epi16(0x0080));  // reaches bit 14 from 0x7f only
  return _mm256_or_si256(fields, _mm256_and_si256(carry, _mm256_set1_epi16(0x4000)));
}

struct Fp8Layout : Fp32Math {
  static constexpr std::size_t kElementBytes = 1;
  static constexpr std::size_t kLoad = 2;
  static constexpr std::size_t kAccs = 4;
  static void halves(__m256i fp16, Acc* acc) {
    acc[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(fp16));
    acc[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(fp16, 1));
  }
  static Raw join(__m256i even_low, __m256i even_high, __m256i odd_low, __m256i odd_high) {
    const __m256i even = _mm256_packus_epi32(even_low, even_high);
    const __m256i odd = _mm256_packus_epi32(odd_low, odd_high);
    return _mm256_permute4x64_epi64(_mm256_or_si256(even, _mm256_slli_epi16(odd, 8)), 0xd8);
  }
};

// Sixteen floats to fp16 lanes, rounded to odd.
inline __m256i odd_fp16(__m256 low, __m256 high) {
  const auto cut = [](__m256 x) {
    const __m256i lost = _mm256_set1_epi32(0x1fff);  // the bits below fp16's last place; adding carries into it
    const __m256i sticky = _mm256_add_epi32(_mm256_and_si256(bits(x), lost), lost);
    return _mm256_cvtps_ph(floats(_mm256_or_si256(bits(x), sticky)), _MM_FROUND_TO_ZERO);
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(cut(low)), cut(high), 1);
}

// fp16 lanes rounded to nearest even at bit `Cut`; the bits below it are left over.
template <int Cut>
inline __m256i rounded_at(__m256i fp16) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(fp16, Cut), _mm256_set1_epi16(1));
  return _mm256_add_epi16(_mm256_add_epi16(fp16, _mm256_set1_epi16((1 << (Cut - 1)) - 1)), odd);
}

constexpr bool has_short_way(ReduceOp op) {
  return op == ReduceOp::kSum || op == ReduceOp::kMin || op == ReduceOp::kMax;
}

inline __m256i interleaved(__m256i even, __m256i odd) {  // the upper bytes of both
  return _mm256_or_si256(_mm256_srli_epi16(even, 8),
                         _mm256_and_si256(odd, _mm256_set1_epi16(static_cast<short>(0xff00))));
}

struct E5M2 : Fp8Layout {
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    const __m256i raw = load_raw(from);
    if constexpr (Step == 0)
      halves(_mm256_slli_epi16(raw, 8), acc);
    else
      halves(_mm256_and_si256(raw, _mm256_set1_epi16(static_cast<short>(0xff00))), acc);
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    if constexpr (has_short_way(Op)) {
      const __m256i codes =
          interleaved(rounded_at<8>(odd_fp16(acc[0], acc[1])), rounded_at<8>(odd_fp16(acc[2], acc[3])));
      const __m256i magnitudes = _mm256_and_si256(codes, _mm256_set1_epi8(0x7f));
      if (_mm256_movemask_epi8(_mm256_cmpgt_epi8(magnitudes, _mm256_set1_epi8(0x7b))) == 0) [[likely]]
        return codes;
    }
    return join(e5m2_codes(finished<Op>(acc[0], finish)), e5m2_codes(finished<Op>(acc[1], finish)),
                e5m2_codes(finished<Op>(acc[2], finish)), e5m2_codes(finished<Op>(acc[3], finish)));
  }
};

struct E4M3 : Fp8Layout {
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    __m256i raw = load_raw(from);
    if constexpr (Step == 0) raw = _mm256_slli_epi16(raw, 8);
    halves(e4m3_fields(_mm256_srai_epi16(raw, 1)), acc);
    if constexpr (Op == ReduceOp::kProd) {
      for (std::size_t i = 0; i < kLoad; ++i) acc[i] = _mm256_mul_ps(acc[i], _mm256_set1_ps(256));
    }
  }
  template <ReduceOp Op>
  static __m256i codes(__m256 x, Finish finish) {
    x = finished<Op>(x, finish);
    if constexpr (Op == ReduceOp::kProd)
      return e4m3_codes(x);
    else
      return e4m3_codes_scaled(x);
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    if constexpr (has_short_way(Op)) {
      const __m256i even = rounded_at<7>(odd_fp16(acc[0], acc[1]));
      const __m256i odd = rounded_at<7>(odd_fp16(acc[2], acc[3]));
      const __m256i even_magnitude = _mm256_and_si256(even, _mm256_set1_epi16(0x7fff));
      const __m256i odd_magnitude = _mm256_and_si256(odd, _mm256_set1_epi16(0x7fff));
      const __m256i beyond =
          _mm256_cmpgt_epi16(_mm256_max_epu16(even_magnitude, odd_magnitude), _mm256_set1_epi16(0x3f7f));
      if (_mm256_movemask_epi8(beyond) == 0) [[likely]] {  // doubling the magnitude moves the code next to the sign
        return interleaved(_mm256_add_epi16(even, even_magnitude), _mm256_add_epi16(odd, odd_magnitude));
      }
    }
    return join(codes<Op>(acc[0], finish), codes<Op>(acc[1], finish), codes<Op>(acc[2], finish),
                codes<Op>(acc[3], finish));
  }
};

struct F64 : Avx2 {
  using Acc = __m256d;
  struct Finish {
    __m256d divisor;
  };
  static constexpr std::size_t kElementBytes = 8;
  static constexpr std::size_t kAccs = 1;
  static Finish finish_of(const KernelCall& call) { return {_mm256_set1_pd(call.divisor_f64)}; }
  static __m256d nan_if_unordered(__m256d a, __m256d b) {
    const __m256d nan = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7ff8000000000000));
    return _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_UNORD_Q), nan);
  }
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    acc[0] = _mm256_loadu_pd(reinterpret_cast<const double*>(from));
  }
  template <ReduceOp Op>
  static __m256d combine(__m256d a, __m256d b) {
    if constexpr (Op == ReduceOp::kProd)
      return _mm256_mul_pd(a, b);
    else if constexpr (Op == ReduceOp::kMin) {
      const __m256d least = _mm256_or_pd(_mm256_min_pd(a, b), _mm256_min_pd(b, a));
      return _mm256_or_pd(least, nan_if_unordered(a, b));
    } else if constexpr (Op == ReduceOp::kMax) {
      const __m256d most = _mm256_and_pd(_mm256_max_pd(a, b), _mm256_max_pd(b, a));
      return _mm256_or_pd(most, nan_if_unordered(a, b));
    } else {
      return _mm256_add_pd(a, b);
    }
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    __m256d x = acc[0];
    if constexpr (Op == ReduceOp::kAvg) x = _mm256_div_pd(x, finish.divisor);
    const __m256d nan = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7ff8000000000000));
    return _mm256_castpd_si256(_mm256_blendv_pd(x, nan, _mm256_cmp_pd(x, x, _CMP_UNORD_Q)));
  }
};

void reduce_avx2(const KernelCall& call) noexcept {
  switch (call.dtype) {
    case DType::kFloat32: return run_op<F32>(call);
    case DType::kFloat16: return run_op<Fp16>(call);
    case DType::kBfloat16: return run_op<Bf16>(call);
    case DType::kFloat8E4M3: return run_op<E4M3>(call);
    case DType::kFloat8E5M2: return run_op<E5M2>(call);
    case DType::kFloat64: return run_op<F64>(call);
    case DType::kInt8: return run_op<Int8Codec<Avx2>>(call);
    case DType::kUint8: return run_op<Uint8Codec<Avx2>>(call);
    case DType::kInt32: return run_op<Int32Codec<Avx2>>(call);
    case DType::kInt64: return run_op<Int64Codec<Avx2>>(call);
  }
}

// Eight elements of one type to floats, in their order, and back (the sign of NaN kept).
inline __m128i load_half(const char* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
inline __m256 unordered(__m256 x) { return _mm256_cmp_ps(x, x, _CMP_UNORD_Q); }
inline __m128i cut_to_16(__m256i lanes) {
  return _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
}
inline void store_cut_to_8(__m256i lanes, char* to) {
  const __m128i halves = cut_to_16(lanes);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(halves, halves));
}

struct Fp16Lanes {
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kElementBytes = 2;
  static void widen(const char* from, float* to) { _mm256_storeu_ps(to, _mm256_cvtph_ps(load_half(from))); }
  static void narrow(const float* from, char* to) {
    const __m256 x = _mm256_loadu_ps(from);
    const __m256 sign = _mm256_and_ps(x, floats(_mm256_set1_epi32(static_cast<int>(0x80000000))));
    const __m256 nan = _mm256_or_ps(sign, floats(_mm256_set1_epi32(0x7fc00000)));
    const __m128i codes = _mm256_cvtps_ph(_mm256_blendv_ps(x, nan, unordered(x)), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  }
};
struct Bf16Lanes {
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kElementBytes = 2;
  static void widen(const char* from, float* to) {
    _mm256_storeu_ps(to, floats(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(from)), 16)));
  }
  static void narrow(const float* from, char* to) {
    const __m256 x = _mm256_loadu_ps(from);
    const __m256i quiet = _mm256_or_si256(bits(x), _mm256_set1_epi32(0x00400000));
    const __m256i rounded = _mm256_blendv_epi8(rounded_bf16(x), quiet, bits(unordered(x)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), cut_to_16(_mm256_srli_epi32(rounded, 16)));
  }
};
struct E5M2Lanes {
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kElementBytes = 1;
  static void widen(const char* from, float* to) {
    const __m128i codes = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_slli_epi16(codes, 8)));
  }
  static void narrow(const float* from, char* to) { store_cut_to_8(e5m2_codes(_mm256_loadu_ps(from)), to); }
};
struct E4M3Lanes {
  static constexpr std::size_t kLanes = 8;
  static constexpr std::size_t kElementBytes = 1;
  static void widen(const char* from, float* to) {
    const __m128i codes = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    const __m128i shifted = _mm_srai_epi16(_mm_slli_epi16(codes, 8), 1);
    const __m128i fields = _mm256_castsi256_si128(e4m3_fields(_mm256_castsi128_si256(shifted)));
    _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_cvtph_ps(fields), _mm256_set1_ps(256)));
  }
  static void narrow(const float* from, char* to) { store_cut_to_8(e4m3_codes(_mm256_loadu_ps(from)), to); }
};

void widen_avx2(DType low, const void* in, float* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return widen_as<Fp16Lanes>(in, out, count);
    case DType::kBfloat16: return widen_as<Bf16Lanes>(in, out, count);
    case DType::kFloat8E4M3: return widen_as<E4M3Lanes>(in, out, count);
    default: return widen_as<E5M2Lanes>(in, out, count);
  }
}

void narrow_avx2(DType low, const float* in, void* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return narrow_as<Fp16Lanes>(in, out, count);
    case DType::kBfloat16: return narrow_as<Bf16Lanes>(in, out, count);
    case DType::kFloat8E4M3: return narrow_as<E4M3Lanes>(in, out, count);
    default: return narrow_as<E5M2Lanes>(in, out, count);
  }
}

}  // namespace

const KernelSet kAvx2Kernels{reduce_avx2, widen_avx2, narrow_avx2};

}  // namespace ff::hfreduce::cpu
