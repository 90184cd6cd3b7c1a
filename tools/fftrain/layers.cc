#include "tools/fftrain/layers.hpp"

#include <algorithm>
#include <cmath>

#include "libcommon/blas/blas.hpp"
#include "tools/fftrain/model_config.hpp"
#include "tools/fftrain/vector_math.hpp"

namespace ff::fftrain {
namespace {

constexpr float kNormEpsilon = 1e-5f;
constexpr float kGeluScale = 0.7978845608f;  // sqrt(2/pi)
constexpr float kGeluCubic = 0.044715f;

// into[j] = sum over rows of a[row, j].
void column_sums(float* into, const float* a, std::int64_t rows, std::int64_t cols) {
  std::fill_n(into, cols, 0.0f);
  for (std::int64_t i = 0; i < rows; ++i, a += cols)
    for (std::int64_t j = 0; j < cols; ++j) into[j] += a[j];
}

}  // namespace

void linear_forward(float* y, const float* x, const float* w, const float* b, std::int64_t n, std::int64_t in,
                    std::int64_t out) {
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(b, out, y + i * out);
  blas::multiply(y, out, {x, in}, {w, in, true}, n, out, in, 1.0f, 1.0f);
}

void linear_backward_input(float* dx, const float* dy, const float* w, std::int64_t n, std::int64_t in,
                           std::int64_t out) {
  blas::multiply(dx, in, {dy, out}, {w, in}, n, in, out);
}

void linear_backward_weights(float* dw, float* db, const float* dy, const float* x, std::int64_t n, std::int64_t in,
                             std::int64_t out) {
  blas::multiply(dw, in, {dy, out, true}, {x, in}, out, in, n);
  column_sums(db, dy, n, out);
}

void layer_norm_forward(float* y, float* mean, float* rstd, const float* x, const float* gain, const float* bias,
                        std::int64_t n, std::int64_t d) {
  const auto width = static_cast<std::size_t>(d);
  const float inverse = 1.0f / static_cast<float>(d);
  for (std::int64_t i = 0; i < n; ++i, x += d, y += d) {
    const float m = lane_sum(width, [x](std::size_t j) { return x[j]; }) * inverse;
    const float variance = lane_sum(width, [x, m](std::size_t j) { return (x[j] - m) * (x[j] - m); }) * inverse;
    const float r = 1.0f / std::sqrt(variance + kNormEpsilon);
    for (std::int64_t j = 0; j < d; ++j) y[j] = (x[j] - m) * r * gain[j] + bias[j];
    mean[i] = m;
    rstd[i] = r;
  }
}

void layer_norm_backward(float* dx, float* dgain, float* dbias, const float* dy, const float* x, const float* mean,
                         const float* rstd, const float* gain, std::int64_t n, std::int64_t d) {
  // With h = (x - mean) rstd and e = dy * gain: dx = rstd (e - mean(e) - h mean(e h)).
  const auto width = static_cast<std::size_t>(d);
  const float inverse = 1.0f / static_cast<float>(d);
  std::fill_n(dgain, d, 0.0f);
  std::fill_n(dbias, d, 0.0f);
  for (std::int64_t i = 0; i < n; ++i, x += d, dy += d, dx += d) {
    const float m = mean[i];
    const float r = rstd[i];
    const float e_mean = lane_sum(width, [=](std::size_t j) { return dy[j] * gain[j]; }) * inverse;
    const float eh_mean = lane_sum(width, [=](std::size_t j) { return dy[j] * gain[j] * ((x[j] - m) * r); }) * inverse;
    for (std::int64_t j = 0; j < d; ++j) {
      const float h = (x[j] - m) * r;
      dgain[j] += dy[j] * h;
      dbias[j] += dy[j];
      dx[j] += r * (dy[j] * gain[j] - e_mean - h * eh_mean);
    }
  }
}

void gelu_forward(float* y, const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float u = kGeluScale * (x[i] + kGeluCubic * x[i] * x[i] * x[i]);
    y[i] = x[i] / (1.0f + exp_approx(-2.0f * u));
  }
}

void gelu_backward(float* dy, const float* x, std::int64_t count) {
  // y = x s, s = sigmoid(2u): y' = s + x s (1 - s) 2 u'.
  for (std::int64_t i = 0; i < count; ++i) {
    const float square = x[i] * x[i];
    const float u = kGeluScale * (x[i] + kGeluCubic * square * x[i]);
    const float slope = kGeluScale * (1.0f + 3.0f * kGeluCubic * square);
    const float s = 1.0f / (1.0f + exp_approx(-2.0f * u));
    dy[i] *= s + x[i] * s * (1.0f - s) * 2.0f * slope;
  }
}

void add(float* sum, const float* a, const float* b, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] = a[i] + b[i];
}

void embedding_forward(float* x, const std::uint8_t* tokens, const float* token, const float* position,
                       std::int64_t batch, std::int64_t length, std::int64_t d) {
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < length; ++t, x += d) add(x, token + *tokens++ * d, position + t * d, d);
}

void embedding_backward(float* dtoken, float* dposition, const float* dx, const std::uint8_t* tokens,
                        std::int64_t batch, std::int64_t length, std::int64_t ctx, std::int64_t d) {
  std::fill_n(dposition, ctx * d, 0.0f);
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < length; ++t, dx += d) {
      float* const token_row = dtoken + *tokens++ * d;
      float* const position_row = dposition + t * d;
      add(token_row, token_row, dx, d);
      add(position_row, position_row, dx, d);
    }
}

double cross_entropy_forward(float* logits, const std::uint8_t* targets, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i, logits += kVocab) {
    // ln p = logit - max - ln(sum e^(logit - max)); from the logits, because p itself may have no digits left.
    const float top = lane_max(kVocab, logits);
    const float target = logits[targets[i]];
    for (int j = 0; j < kVocab; ++j) logits[j] = exp_approx(logits[j] - top);
    const float total = lane_sum(kVocab, [logits](std::size_t j) { return logits[j]; });
    const float scale = 1.0f / total;
    for (int j = 0; j < kVocab; ++j) logits[j] *= scale;
    sum += std::log(static_cast<double>(total)) - (static_cast<double>(target) - static_cast<double>(top));
  }
  return sum;
}

void cross_entropy_backward(float* probabilities, const std::uint8_t* targets, std::int64_t n, float scale) {
  for (std::int64_t i = 0; i < n; ++i, probabilities += kVocab) {
    probabilities[targets[i]] -= 1.0f;
    for (int j = 0; j < kVocab; ++j) probabilities[j] *= scale;
  }
}

}  // namespace ff::fftrain
