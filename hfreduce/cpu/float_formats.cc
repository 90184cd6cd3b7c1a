#include "hfreduce/cpu/float_formats.hpp"

#include <bit>

namespace ff::hfreduce::cpu {
namespace {

constexpr std::uint32_t kMagnitude32 = 0x7fffffff;
constexpr std::uint32_t kInf32 = 0x7f800000;

// A small binary format: sign, exponent, `mantissa` bits; min_exponent is that of the smallest normal number.
struct Format {
  int mantissa;
  int min_exponent;
};
constexpr Format kFp16{10, -14};
constexpr Format kE4M3{3, -6};
constexpr Format kE5M2{2, -14};

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// The finite value of a magnitude code (no sign bit, no special).
float decode_finite(Format format, std::uint32_t code) {
  const std::uint32_t exponent = code >> format.mantissa;
  const std::uint32_t mantissa = code & ((1u << format.mantissa) - 1);
  if (exponent == 0) {
    const int unit_exponent = format.min_exponent - format.mantissa;  // of the smallest subnormal
    return static_cast<float>(mantissa) * std::bit_cast<float>(static_cast<std::uint32_t>(unit_exponent + 127) << 23);
  }
  const auto biased = static_cast<std::uint32_t>(static_cast<int>(exponent) - 1 + format.min_exponent + 127);
  return std::bit_cast<float>((biased << 23) | (mantissa << (23 - format.mantissa)));
}

// The magnitude code of a finite magnitude as if exponents had no upper end; the caller clamps. Codes of one format are
// consecutive integers over ascending values, so a mantissa that rounds up to the next power of two carries by itself.
std::uint32_t encode_finite(Format format, std::uint32_t magnitude) {
  if (magnitude < 0x00800000) return 0;  // fp32 subnormals are far below half of the smallest code of every format here
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  const std::uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
  const int below = exponent < format.min_exponent ? format.min_exponent - exponent : 0;
  const int shift = 23 - format.mantissa + below;
  if (shift > 24) return 0;  // less than half of the smallest subnormal
  std::uint32_t quotient = significand >> shift;
  const std::uint32_t rest = significand & ((1u << shift) - 1);
  const std::uint32_t half = 1u << (shift - 1);
  if (rest > half || (rest == half && (quotient & 1) != 0)) ++quotient;
  const auto binade = static_cast<std::uint32_t>(below > 0 ? 0 : exponent - format.min_exponent);
  return (binade << format.mantissa) + quotient;
}

float with_sign(float magnitude, bool negative) { return negative ? -magnitude : magnitude; }

std::uint32_t at_most(std::uint32_t code, std::uint32_t limit) { return code < limit ? code : limit; }

}  // namespace

float fp16_to_float(std::uint16_t code) noexcept {
  const std::uint32_t sign = (code & 0x8000u) << 16;
  const std::uint32_t magnitude = code & 0x7fffu;
  if (magnitude > 0x7c00) return std::bit_cast<float>(sign | 0x7fc00000 | ((magnitude & 0x3ff) << 13));
  if (magnitude == 0x7c00) return std::bit_cast<float>(sign | kInf32);
  return with_sign(decode_finite(kFp16, magnitude), sign != 0);
}

std::uint16_t float_to_fp16(float value) noexcept {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000;
  const std::uint32_t magnitude = bits & kMagnitude32;
  if (magnitude > kInf32) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (magnitude == kInf32) return static_cast<std::uint16_t>(sign | 0x7c00);
  return static_cast<std::uint16_t>(sign | at_most(encode_finite(kFp16, magnitude), 0x7c00));
}

float bf16_to_float(std::uint16_t code) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16);
}

std::uint16_t float_to_bf16(float value) noexcept {
  const std::uint32_t bits = bits_of(value);
  if ((bits & kMagnitude32) > kInf32) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float e4m3_to_float(std::uint8_t code) noexcept {
  const std::uint32_t sign = (code & 0x80u) << 24;
  const std::uint32_t magnitude = code & 0x7fu;
  if (magnitude == 0x7f) return std::bit_cast<float>(sign | 0x7ff00000);  // its three mantissa bits carried over
  return with_sign(decode_finite(kE4M3, magnitude), sign != 0);
}

std::uint8_t float_to_e4m3(float value) noexcept {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = (bits >> 24) & 0x80;
  const std::uint32_t magnitude = bits & kMagnitude32;
  if (magnitude > kInf32) return static_cast<std::uint8_t>(sign | 0x7f);
  return static_cast<std::uint8_t>(sign | at_most(encode_finite(kE4M3, magnitude), 0x7e));
}

float e5m2_to_float(std::uint8_t code) noexcept { return fp16_to_float(static_cast<std::uint16_t>(code << 8)); }

std::uint8_t float_to_e5m2(float value) noexcept {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = (bits >> 24) & 0x80;
  const std::uint32_t magnitude = bits & kMagnitude32;
  if (magnitude > kInf32) return static_cast<std::uint8_t>(sign | 0x7e);
  if (magnitude == kInf32) return static_cast<std::uint8_t>(sign | 0x7c);
  return static_cast<std::uint8_t>(sign | at_most(encode_finite(kE5M2, magnitude), 0x7b));
}

}  // namespace ff::hfreduce::cpu
