// AVX-512 F, BW, DQ, VL: the methods of reduce_avx2.cc (explained there) at twice the width, with mask registers.
//
// No fused multiply-add, and no vcvtneps2bf16 for bf16: that instruction takes subnormals for zero, and results must
// equal the scalar path bit for bit.
#include <immintrin.h>

#include "hfreduce/cpu/vector_kernels.hpp"

namespace ff::hfreduce::cpu {
namespace {

struct Avx512 {
  using Raw = __m512i;
  static constexpr std::size_t kLoad = 1;
  static void store(char* to, Raw raw) { _mm512_storeu_si512(to, raw); }
  static void stream(char* to, Raw raw) { _mm512_stream_si512(reinterpret_cast<__m512i*>(to), raw); }
  static void fence() { _mm_sfence(); }
};

inline __m512i load_raw(const char* from) { return _mm512_loadu_si512(from); }
inline __m512i bits(__m512 x) { return _mm512_castps_si512(x); }
inline __m512 floats(__m512i x) { return _mm512_castsi512_ps(x); }
inline __m512i all32(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
inline __m512i all16(std::uint16_t value) { return _mm512_set1_epi16(static_cast<short>(value)); }

// What all codecs with fp32 accumulators share.
struct Fp32Math : Avx512 {
  using Acc = __m512;
  struct Finish {
    __m512 divisor;
  };
  static Finish finish_of(const KernelCall& call) { return {_mm512_set1_ps(call.divisor_f32)}; }

  // Both orders of min and max, joined, settle the sign of zero; NaN wins.
  template <ReduceOp Op>
  static __m512 combine(__m512 a, __m512 b) {
    const __m512 nan = floats(all32(0x7fc00000));
    if constexpr (Op == ReduceOp::kProd)
      return _mm512_mul_ps(a, b);
    else if constexpr (Op == ReduceOp::kMin) {
      const __m512 least = _mm512_or_ps(_mm512_min_ps(a, b), _mm512_min_ps(b, a));
      return _mm512_mask_mov_ps(least, _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q), nan);
    } else if constexpr (Op == ReduceOp::kMax) {
      const __m512 most = _mm512_and_ps(_mm512_max_ps(a, b), _mm512_max_ps(b, a));
      return _mm512_mask_mov_ps(most, _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q), nan);
    } else {
      return _mm512_add_ps(a, b);
    }
  }
  template <ReduceOp Op>
  static __m512 finished(__m512 x, Finish finish) {
    if constexpr (Op == ReduceOp::kAvg) x = _mm512_div_ps(x, finish.divisor);
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), floats(all32(0x7fc00000)));
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
    acc[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32 * Step)));
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    const __m256i low = _mm512_cvtps_ph(finished<Op>(acc[0], finish), _MM_FROUND_TO_NEAREST_INT);
    const __m256i high = _mm512_cvtps_ph(finished<Op>(acc[1], finish), _MM_FROUND_TO_NEAREST_INT);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
};

// Upper halves rounded to nearest even; x is no NaN, or the canonical one, which rounds to itself.
inline __m512i rounded_bf16(__m512 x) {
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits(x), 16), all32(1));
  return _mm512_add_epi32(_mm512_add_epi32(bits(x), all32(0x7fff)), odd);
}

struct Bf16 : Fp32Math {
  static constexpr std::size_t kElementBytes = 2;
  static constexpr std::size_t kLoad = 2;
  static constexpr std::size_t kAccs = 2;
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    const __m512i raw = load_raw(from);
    acc[0] = floats(_mm512_slli_epi32(raw, 16));
    acc[1] = floats(_mm512_and_si512(raw, all32(0xffff0000)));
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    const __m512i even = _mm512_srli_epi32(rounded_bf16(finished<Op>(acc[0], finish)), 16);
    const __m512i odd = rounded_bf16(finished<Op>(acc[1], finish));
    return _mm512_mask_blend_epi16(0xaaaaaaaa, even, odd);
  }
};

// As in reduce_avx2.cc: codes with the sign at bit 7, in 32-bit lanes.
template <int Mantissa, int MinExponent, std::uint32_t Max, std::uint32_t NaN, bool HasInf>
inline __m512i fp8_codes(__m512 x) {
  constexpr int kShift = 23 - Mantissa;
  const __m512i magnitude = _mm512_and_si512(bits(x), all32(0x7fffffff));
  __m512i clamped = bits(_mm512_min_ps(floats(all32(Max)), floats(magnitude)));  // a NaN in the second operand stays
  clamped = _mm512_min_epu32(clamped, all32(NaN));
  const __m512i exponent = _mm512_max_epi32(_mm512_and_si512(clamped, all32(0x7f800000)), all32(MinExponent << 23));
  const __m512i magic = _mm512_add_epi32(exponent, all32(kShift << 23));
  const __m512i sum = bits(_mm512_add_ps(floats(clamped), floats(magic)));
  const __m512i binade = _mm512_sub_epi32(_mm512_srli_epi32(exponent, kShift), all32(MinExponent << Mantissa));
  __m512i code = _mm512_add_epi32(_mm512_sub_epi32(sum, magic), binade);
  if constexpr (HasInf) {
    const __mmask16 infinite = _mm512_cmpeq_epi32_mask(magnitude, all32(0x7f800000));
    code = _mm512_mask_add_epi32(code, infinite, code, all32(1));
  }
  return _mm512_or_si512(code, _mm512_and_si512(_mm512_srli_epi32(bits(x), 24), all32(0x80)));
}
inline __m512i e4m3_codes(__m512 x) { return fp8_codes<3, 121, 0x43e00000, 0x43f00000, false>(x); }
inline __m512i e4m3_codes_scaled(__m512 x) { return fp8_codes<3, 113, 0x3fe00000, 0x3ff00000, false>(x); }
inline __m512i e5m2_codes(__m512 x) { return fp8_codes<2, 113, 0x47600000, 0x47c00000, true>(x); }

// E4M3 in fp16's fields (times 2^-8) from codes at bits 15..8, sign extended one place down.
inline __m512i e4m3_fields(__m512i shifted) {
  const __m512i fields = _mm512_and_si512(shifted, all16(0xbf80));
  const __m512i carry = _mm512_add_epi16(fields, all16(0x0080));
  return _mm512_or_si512(fields, _mm512_and_si512(carry, all16(0x4000)));
}

struct Fp8Layout : Fp32Math {
  static constexpr std::size_t kElementBytes = 1;
  static constexpr std::size_t kLoad = 2;
  static constexpr std::size_t kAccs = 4;
  static void halves(__m512i fp16, Acc* acc) {
    acc[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(fp16));
    acc[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(fp16, 1));
  }
  static Raw join(__m512i even_low, __m512i even_high, __m512i odd_low, __m512i odd_high) {
    const __m512i even = _mm512_packus_epi32(even_low, even_high);
    const __m512i odd = _mm512_packus_epi32(odd_low, odd_high);
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm512_permutexvar_epi64(order, _mm512_or_si512(even, _mm512_slli_epi16(odd, 8)));
  }
};

// The short way of sum, min and max: thirty-two floats to fp16 lanes, rounded to odd.
inline __m512i odd_fp16(__m512 low, __m512 high) {
  const auto cut = [](__m512 x) {
    const __m512i lost = all32(0x1fff);
    const __m512i sticky = _mm512_add_epi32(_mm512_and_si512(bits(x), lost), lost);
    return _mm512_cvtps_ph(floats(_mm512_or_si512(bits(x), sticky)), _MM_FROUND_TO_ZERO);
  };
  return _mm512_inserti64x4(_mm512_castsi256_si512(cut(low)), cut(high), 1);
}

// fp16 lanes rounded to nearest even at bit `Cut`; the bits below it are left over.
template <int Cut>
inline __m512i rounded_at(__m512i fp16) {
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(fp16, Cut), all16(1));
  return _mm512_add_epi16(_mm512_add_epi16(fp16, all16((1 << (Cut - 1)) - 1)), odd);
}

constexpr bool has_short_way(ReduceOp op) {
  return op == ReduceOp::kSum || op == ReduceOp::kMin || op == ReduceOp::kMax;
}

inline __m512i interleaved(__m512i even, __m512i odd) {  // the upper bytes of both
  return _mm512_or_si512(_mm512_srli_epi16(even, 8), _mm512_and_si512(odd, all16(0xff00)));
}

struct E5M2 : Fp8Layout {
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    const __m512i raw = load_raw(from);
    if constexpr (Step == 0)
      halves(_mm512_slli_epi16(raw, 8), acc);
    else
      halves(_mm512_and_si512(raw, all16(0xff00)), acc);
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    if constexpr (has_short_way(Op)) {
      const __m512i codes =
          interleaved(rounded_at<8>(odd_fp16(acc[0], acc[1])), rounded_at<8>(odd_fp16(acc[2], acc[3])));
      const __m512i magnitudes = _mm512_and_si512(codes, _mm512_set1_epi8(0x7f));
      if (_mm512_cmpgt_epi8_mask(magnitudes, _mm512_set1_epi8(0x7b)) == 0) [[likely]]
        return codes;
    }
    return join(e5m2_codes(finished<Op>(acc[0], finish)), e5m2_codes(finished<Op>(acc[1], finish)),
                e5m2_codes(finished<Op>(acc[2], finish)), e5m2_codes(finished<Op>(acc[3], finish)));
  }
};

struct E4M3 : Fp8Layout {
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    __m512i raw = load_raw(from);
    if constexpr (Step == 0) raw = _mm512_slli_epi16(raw, 8);
    halves(e4m3_fields(_mm512_srai_epi16(raw, 1)), acc);
    if constexpr (Op == ReduceOp::kProd) {
      for (std::size_t i = 0; i < kLoad; ++i) acc[i] = _mm512_mul_ps(acc[i], _mm512_set1_ps(256));
    }
  }
  template <ReduceOp Op>
  static __m512i codes(__m512 x, Finish finish) {
    x = finished<Op>(x, finish);
    if constexpr (Op == ReduceOp::kProd)
      return e4m3_codes(x);
    else
      return e4m3_codes_scaled(x);
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    if constexpr (has_short_way(Op)) {
      const __m512i even = rounded_at<7>(odd_fp16(acc[0], acc[1]));
      const __m512i odd = rounded_at<7>(odd_fp16(acc[2], acc[3]));
      const __m512i even_magnitude = _mm512_and_si512(even, all16(0x7fff));
      const __m512i odd_magnitude = _mm512_and_si512(odd, all16(0x7fff));
      if (_mm512_cmpgt_epi16_mask(_mm512_max_epu16(even_magnitude, odd_magnitude), all16(0x3f7f)) == 0) [[likely]] {
        return interleaved(_mm512_add_epi16(even, even_magnitude), _mm512_add_epi16(odd, odd_magnitude));
      }
    }
    return join(codes<Op>(acc[0], finish), codes<Op>(acc[1], finish), codes<Op>(acc[2], finish),
                codes<Op>(acc[3], finish));
  }
};

struct F64 : Avx512 {
  using Acc = __m512d;
  struct Finish {
    __m512d divisor;
  };
  static constexpr std::size_t kElementBytes = 8;
  static constexpr std::size_t kAccs = 1;
  static __m512d nan() { return _mm512_castsi512_pd(_mm512_set1_epi64(0x7ff8000000000000)); }
  static Finish finish_of(const KernelCall& call) { return {_mm512_set1_pd(call.divisor_f64)}; }
  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    acc[0] = _mm512_loadu_pd(from);
  }
  template <ReduceOp Op>
  static __m512d combine(__m512d a, __m512d b) {
    if constexpr (Op == ReduceOp::kProd)
      return _mm512_mul_pd(a, b);
    else if constexpr (Op == ReduceOp::kMin) {
      const __m512d least = _mm512_or_pd(_mm512_min_pd(a, b), _mm512_min_pd(b, a));
      return _mm512_mask_mov_pd(least, _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q), nan());
    } else if constexpr (Op == ReduceOp::kMax) {
      const __m512d most = _mm512_and_pd(_mm512_max_pd(a, b), _mm512_max_pd(b, a));
      return _mm512_mask_mov_pd(most, _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q), nan());
    } else {
      return _mm512_add_pd(a, b);
    }
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    __m512d x = acc[0];
    if constexpr (Op == ReduceOp::kAvg) x = _mm512_div_pd(x, finish.divisor);
    return _mm512_castpd_si512(_mm512_mask_mov_pd(x, _mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q), nan()));
  }
};

void reduce_avx512(const KernelCall& call) noexcept {
  switch (call.dtype) {
    case DType::kFloat32: return run_op<F32>(call);
    case DType::kFloat16: return run_op<Fp16>(call);
    case DType::kBfloat16: return run_op<Bf16>(call);
    case DType::kFloat8E4M3: return run_op<E4M3>(call);
    case DType::kFloat8E5M2: return run_op<E5M2>(call);
    case DType::kFloat64: return run_op<F64>(call);
    case DType::kInt8: return run_op<Int8Codec<Avx512>>(call);
    case DType::kUint8: return run_op<Uint8Codec<Avx512>>(call);
    case DType::kInt32: return run_op<Int32Codec<Avx512>>(call);
    case DType::kInt64: return run_op<Int64Codec<Avx512>>(call);
  }
}

// Sixteen elements of one type to floats, in their order, and back (the sign of NaN kept).
inline __m256i load_half(const char* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
inline void store_half(__m256i codes, char* to) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes); }
inline __m256i load_bytes(const char* from) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
inline void store_cut_to_8(__m512i lanes, char* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(lanes));
}

struct Fp16Lanes {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kElementBytes = 2;
  static void widen(const char* from, float* to) { _mm512_storeu_ps(to, _mm512_cvtph_ps(load_half(from))); }
  static void narrow(const float* from, char* to) {
    const __m512 x = _mm512_loadu_ps(from);
    const __m512 sign = _mm512_and_ps(x, floats(all32(0x80000000)));
    const __m512 nan = _mm512_or_ps(sign, floats(all32(0x7fc00000)));
    const __m512 quiet = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
    store_half(_mm512_cvtps_ph(quiet, _MM_FROUND_TO_NEAREST_INT), to);
  }
};
struct Bf16Lanes {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kElementBytes = 2;
  static void widen(const char* from, float* to) {
    _mm512_storeu_ps(to, floats(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_half(from)), 16)));
  }
  static void narrow(const float* from, char* to) {
    const __m512 x = _mm512_loadu_ps(from);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i rounded = _mm512_mask_or_epi32(rounded_bf16(x), is_nan, bits(x), all32(0x00400000));
    store_half(_mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)), to);
  }
};
struct E5M2Lanes {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kElementBytes = 1;
  static void widen(const char* from, float* to) {
    _mm512_storeu_ps(to, _mm512_cvtph_ps(_mm256_slli_epi16(load_bytes(from), 8)));
  }
  static void narrow(const float* from, char* to) { store_cut_to_8(e5m2_codes(_mm512_loadu_ps(from)), to); }
};
struct E4M3Lanes {
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kElementBytes = 1;
  static void widen(const char* from, float* to) {
    const __m256i shifted = _mm256_srai_epi16(_mm256_slli_epi16(load_bytes(from), 8), 1);
    const __m256i fields = _mm512_castsi512_si256(e4m3_fields(_mm512_castsi256_si512(shifted)));
    _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_cvtph_ps(fields), _mm512_set1_ps(256)));
  }
  static void narrow(const float* from, char* to) { store_cut_to_8(e4m3_codes(_mm512_loadu_ps(from)), to); }
};

void widen_avx512(DType low, const void* in, float* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return widen_as<Fp16Lanes>(in, out, count);
    case DType::kBfloat16: return widen_as<Bf16Lanes>(in, out, count);
    case DType::kFloat8E4M3: return widen_as<E4M3Lanes>(in, out, count);
    default: return widen_as<E5M2Lanes>(in, out, count);
  }
}

void narrow_avx512(DType low, const float* in, void* out, std::uint64_t count) noexcept {
  switch (low) {
    case DType::kFloat16: return narrow_as<Fp16Lanes>(in, out, count);
    case DType::kBfloat16: return narrow_as<Bf16Lanes>(in, out, count);
    case DType::kFloat8E4M3: return narrow_as<E4M3Lanes>(in, out, count);
    default: return narrow_as<E5M2Lanes>(in, out, count);
  }
}

}  // namespace

const KernelSet kAvx512Kernels{reduce_avx512, widen_avx512, narrow_avx512};

}  // namespace ff::hfreduce::cpu
