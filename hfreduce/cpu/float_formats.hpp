// Scalar codecs of the low-precision types: the truth that every SIMD path is tested against, over all codes.
//
// fp16 IEEE binary16; bf16 the upper half of binary32; E4M3 and E5M2 as in the OCP 8-bit Floating Point
// Specification (OFP8) 1.0, with saturation: finite values beyond the largest code become it, infinities become the
// largest code in E4M3 (it has none) and stay infinite in E5M2, NaN stays NaN (E4M3 0x7f with the sign kept, E5M2 0x7e
// with the sign kept). All roundings are to nearest, ties to even; subnormals are kept.
#pragma once

#include <cstdint>

namespace ff::hfreduce::cpu {

float fp16_to_float(std::uint16_t code) noexcept;
std::uint16_t float_to_fp16(float value) noexcept;  // overflow to infinity, as IEEE; NaN quiet (0x7e00 | sign)
float bf16_to_float(std::uint16_t code) noexcept;
std::uint16_t float_to_bf16(float value) noexcept;  // NaN kept quiet: upper half with the quiet bit set
float e4m3_to_float(std::uint8_t code) noexcept;
std::uint8_t float_to_e4m3(float value) noexcept;
float e5m2_to_float(std::uint8_t code) noexcept;
std::uint8_t float_to_e5m2(float value) noexcept;

}  // namespace ff::hfreduce::cpu
