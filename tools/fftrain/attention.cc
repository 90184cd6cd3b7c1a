#include "tools/fftrain/attention.hpp"

#include <algorithm>
#include <cmath>

#include "libcommon/blas/blas.hpp"
#include "tools/fftrain/vector_math.hpp"

namespace ff::fftrain {

void attention_forward(float* mixed, float* probabilities, const float* qkv, const AttentionShape& shape) {
  const std::int64_t length = shape.length, dim = shape.dim(), stride = 3 * dim, width = shape.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  for (std::int64_t b = 0; b < shape.batch; ++b)
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const float* const q = qkv + b * length * stride + h * width;
      const float* const k = q + dim;
      const float* const v = k + dim;
      float* const p = probabilities + (b * shape.heads + h) * length * length;
      blas::multiply(p, length, {q, stride}, {k, stride, true}, length, length, width, scale);
      for (std::int64_t i = 0; i < length; ++i) {
        softmax(static_cast<std::size_t>(i + 1), p + i * length);
        std::fill_n(p + i * length + i + 1, length - i - 1, 0.0f);
      }
      blas::multiply(mixed + b * length * dim + h * width, dim, {p, length}, {v, stride}, length, width, length);
    }
}

void attention_backward(float* dqkv, float* scratch, const float* dmixed, const float* qkv, const float* probabilities,
                        const AttentionShape& shape) {
  const std::int64_t length = shape.length, dim = shape.dim(), stride = 3 * dim, width = shape.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(width));
  for (std::int64_t b = 0; b < shape.batch; ++b)
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      const std::int64_t at = b * length * stride + h * width;
      const float* const q = qkv + at;
      const float* const k = q + dim;
      const float* const v = k + dim;
      const float* const p = probabilities + (b * shape.heads + h) * length * length;
      const blas::Matrix dout{dmixed + b * length * dim + h * width, dim};
      float* const dq = dqkv + at;
      float* const dk = dq + dim;
      float* const dv = dk + dim;
      blas::multiply(dv, stride, {p, length, true}, dout, length, width, length);
      blas::multiply(scratch, length, dout, {v, stride, true}, length, length, width);
      // Softmax: ds = p (dp - sum(dp p)); where the mask cut, p is 0 and so is ds.
      for (std::int64_t i = 0; i < length; ++i) {
        const float* const p_row = p + i * length;
        float* const row = scratch + i * length;
        const float dot = lane_sum(static_cast<std::size_t>(i + 1), [=](std::size_t j) { return p_row[j] * row[j]; });
        for (std::int64_t j = 0; j < length; ++j) row[j] = p_row[j] * (row[j] - dot);
      }
      blas::multiply(dq, stride, {scratch, length}, {k, stride}, length, width, length, scale);
      blas::multiply(dk, stride, {scratch, length, true}, {q, stride}, length, width, length, scale);
    }
}

}  // namespace ff::fftrain
