// Every code of every format against values built from the formats' definitions with ldexp, and every rounding
// boundary: between two neighbouring codes the midpoint must go to the even one and the floats beside it to the nearer
// one.
#include "hfreduce/cpu/float_formats.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ff::hfreduce::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// A format by its definition: bits of exponent and mantissa, bias, and whether the top exponent is IEEE's.
struct Definition {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  bool ieee;  // the top exponent holds infinity and NaN; else (E4M3) only the all-ones code is NaN
};
constexpr Definition kFp16{5, 10, 15, true};
constexpr Definition kBf16{8, 7, 127, true};
constexpr Definition kE4M3{4, 3, 7, false};
constexpr Definition kE5M2{5, 2, 15, true};

float value_of(const Definition& format, unsigned code) {
  const unsigned mantissa_count = 1u << format.mantissa_bits;
  const int sign = (code >> (format.exponent_bits + format.mantissa_bits)) & 1 ? -1 : 1;
  const int top = (1 << format.exponent_bits) - 1;
  const int exponent = static_cast<int>(code >> format.mantissa_bits) & top;
  const int mantissa = static_cast<int>(code % mantissa_count);
  if (exponent == top && format.ieee) return mantissa == 0 ? static_cast<float>(sign) * kInf : kNaN;
  if (exponent == top && mantissa == static_cast<int>(mantissa_count) - 1) return kNaN;
  const double fraction = exponent == 0 ? 0.0 : 1.0;
  const double significand = fraction + mantissa / static_cast<double>(mantissa_count);
  return std::copysign(static_cast<float>(std::ldexp(significand, std::max(exponent, 1) - format.bias)),
                       static_cast<float>(sign));
}

template <class Code>
void expect_decodes(const Definition& format, float (*decode)(Code) noexcept, Code (*encode)(float) noexcept) {
  for (unsigned code = 0; code <= std::numeric_limits<Code>::max(); ++code) {
    const float expected = value_of(format, code);
    const float actual = decode(static_cast<Code>(code));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual)) << code;
      ASSERT_EQ(std::signbit(actual), code >> (sizeof(Code) * 8 - 1) != 0) << code;
      continue;
    }
    ASSERT_EQ(bits_of(actual), bits_of(expected)) << code;
    ASSERT_EQ(encode(expected), code) << "a code's value must encode to it";
  }
}

// Walks the finite magnitudes up to `largest`, whose float values and midpoints are exact in fp32.
template <class Code>
void expect_rounds(const Definition& format, unsigned largest, Code (*encode)(float) noexcept) {
  const unsigned sign = 1u << (sizeof(Code) * 8 - 1);
  for (unsigned code = 0; code < largest; ++code) {
    const float low = value_of(format, code);
    const float high = value_of(format, code + 1);
    const float middle = low + (high - low) / 2;
    const unsigned even = code % 2 == 0 ? code : code + 1;
    ASSERT_EQ(encode(middle), even) << code;
    ASSERT_EQ(encode(std::nextafter(middle, 0.0f)), code) << code;
    ASSERT_EQ(encode(std::nextafter(middle, kInf)), code + 1) << code;
    ASSERT_EQ(encode(std::nextafter(high, 0.0f)), code + 1) << code;
    ASSERT_EQ(encode(-middle), even | sign) << code;
    ASSERT_EQ(encode(-std::nextafter(middle, 0.0f)), code | sign) << code;
    ASSERT_EQ(encode(-std::nextafter(middle, kInf)), (code + 1) | sign) << code;
  }
  const float tiny = std::numeric_limits<float>::denorm_min();
  if (format.bias != 127) {
    EXPECT_EQ(encode(tiny), 0);
    EXPECT_EQ(encode(-tiny), sign);
  }
  EXPECT_EQ(encode(0.0f), 0);
  EXPECT_EQ(encode(-0.0f), sign);
}

TEST(FloatFormats, EveryFp16CodeDecodesAndEncodesBack) { expect_decodes(kFp16, fp16_to_float, float_to_fp16); }
TEST(FloatFormats, EveryBf16CodeDecodesAndEncodesBack) { expect_decodes(kBf16, bf16_to_float, float_to_bf16); }
TEST(FloatFormats, EveryE4M3CodeDecodesAndEncodesBack) { expect_decodes(kE4M3, e4m3_to_float, float_to_e4m3); }
TEST(FloatFormats, EveryE5M2CodeDecodesAndEncodesBack) { expect_decodes(kE5M2, e5m2_to_float, float_to_e5m2); }

TEST(FloatFormats, Fp16RoundsToNearestEven) { expect_rounds(kFp16, 0x7bff, float_to_fp16); }
TEST(FloatFormats, Bf16RoundsToNearestEven) { expect_rounds(kBf16, 0x7f7f, float_to_bf16); }
TEST(FloatFormats, E4M3RoundsToNearestEven) { expect_rounds(kE4M3, 0x7e, float_to_e4m3); }
TEST(FloatFormats, E5M2RoundsToNearestEven) { expect_rounds(kE5M2, 0x7b, float_to_e5m2); }

TEST(FloatFormats, KnownValuesFromTheOfp8Tables) {
  EXPECT_EQ(e4m3_to_float(0x7e), 448.0f);
  EXPECT_EQ(e4m3_to_float(0x08), 0.015625f);     // 2^-6, the smallest normal
  EXPECT_EQ(e4m3_to_float(0x07), 0.013671875f);  // 0.875 * 2^-6, the largest subnormal
  EXPECT_EQ(e4m3_to_float(0x01), 0.001953125f);  // 2^-9
  EXPECT_EQ(e5m2_to_float(0x7b), 57344.0f);
  EXPECT_EQ(e5m2_to_float(0x7c), kInf);
  EXPECT_EQ(e5m2_to_float(0x04), 0x1p-14f);
  EXPECT_EQ(e5m2_to_float(0x03), 0.75f * 0x1p-14f);
  EXPECT_EQ(e5m2_to_float(0x01), 0x1p-16f);
}

TEST(FloatFormats, Fp8SaturatesFiniteValues) {
  for (const float beyond :
       {448.0f, 449.0f, 463.9f, 464.0f, 480.0f, 512.0f, 1e30f, std::numeric_limits<float>::max()}) {
    EXPECT_EQ(float_to_e4m3(beyond), 0x7e) << beyond;
    EXPECT_EQ(float_to_e4m3(-beyond), 0xfe) << beyond;
  }
  for (const float beyond :
       {57344.0f, 61439.0f, 61440.0f, 65536.0f, 98304.0f, 1e30f, std::numeric_limits<float>::max()}) {
    EXPECT_EQ(float_to_e5m2(beyond), 0x7b) << beyond;
    EXPECT_EQ(float_to_e5m2(-beyond), 0xfb) << beyond;
  }
}

TEST(FloatFormats, WiderFormatsOverflowToInfinity) {
  EXPECT_EQ(float_to_fp16(65519.996f), 0x7bff);  // just below the midpoint of 65504 and 65536
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_fp16(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

TEST(FloatFormats, InfinityAndNaN) {
  EXPECT_EQ(float_to_e4m3(kInf), 0x7e);
  EXPECT_EQ(float_to_e4m3(-kInf), 0xfe);
  EXPECT_EQ(float_to_e5m2(kInf), 0x7c);
  EXPECT_EQ(float_to_e5m2(-kInf), 0xfc);
  EXPECT_EQ(float_to_e4m3(kNaN), 0x7f);
  EXPECT_EQ(float_to_e4m3(-kNaN), 0xff);
  EXPECT_EQ(float_to_e5m2(kNaN), 0x7e);
  EXPECT_EQ(float_to_e5m2(-kNaN), 0xfe);
  EXPECT_EQ(float_to_fp16(kInf), 0x7c00);
  EXPECT_EQ(float_to_fp16(-kNaN), 0xfe00);
  EXPECT_EQ(float_to_bf16(-kInf), 0xff80);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0)
      << "a NaN with a low payload must not become infinity";
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0xffff0001u)), 0xffff);
}

}  // namespace
}  // namespace ff::hfreduce::cpu
