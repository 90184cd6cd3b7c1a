// fp32 <-> bfloat16 over arrays, for gradients on the wire. Rounds to nearest even; NaN stays NaN. Vectorisable.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace ff::fftrain {

inline std::uint16_t to_bfloat16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
  const std::uint32_t quiet_nan = bits | 0x400000u;
  return static_cast<std::uint16_t>(((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet_nan : rounded) >> 16);
}

inline void narrow(std::uint16_t* to, const float* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = to_bfloat16(from[i]);
}

inline void widen(float* to, const std::uint16_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) to[i] = std::bit_cast<float>(static_cast<std::uint32_t>(from[i]) << 16);
}

}  // namespace ff::fftrain
