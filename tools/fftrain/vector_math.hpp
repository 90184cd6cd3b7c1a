// Loops over floats that compilers turn into vector code without relaxed floating-point flags, so that the bits depend
// only on the data and the baseline instruction set.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ff::fftrain {

// e^x within 2 units in the last place, branch-free; below -87 the result is the smallest normal number or so (not 0),
// above 88 it saturates near the largest finite one. e^x = 2^n e^r, n = round(x / ln 2), e^r by its Taylor polynomial
// of degree 7 (|r| <= 0.347, truncation below 6e-9 relative), ln 2 in two parts so that r is exact.
inline float exp_approx(float x) noexcept {
  x = std::min(std::max(x, -87.0f), 88.0f);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto exponent = static_cast<std::uint32_t>(std::bit_cast<std::int32_t>(shifted) - 0x4B400000 + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

inline constexpr std::size_t kLanes = 16;  // independent partial results in the reductions below

// Sum over i of f(i), in kLanes interleaved partial sums that are then added pairwise.
template <class F>
inline float lane_sum(std::size_t n, F f) noexcept {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += f(i + j);
  for (std::size_t j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (std::size_t width = kLanes / 2; width > 0; width /= 2)
    for (std::size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  return lanes[0];
}

// REQUIRES: n > 0.
inline float lane_max(std::size_t n, const float* x) noexcept {
  float lanes[kLanes];
  for (float& lane : lanes) lane = x[0];
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = std::max(lanes[j], x[i + j]);
  float best = *std::max_element(lanes, lanes + kLanes);
  for (; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

// x := e^(x - max x) / sum. REQUIRES: n > 0.
inline void softmax(std::size_t n, float* x) noexcept {
  const float top = lane_max(n, x);
  for (std::size_t i = 0; i < n; ++i) x[i] = exp_approx(x[i] - top);
  const float scale = 1.0f / lane_sum(n, [x](std::size_t i) { return x[i]; });
  for (std::size_t i = 0; i < n; ++i) x[i] *= scale;
}

}  // namespace ff::fftrain
