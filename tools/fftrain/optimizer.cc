#include "tools/fftrain/optimizer.hpp"

#include <cmath>
#include <numbers>

namespace ff::fftrain {

double learning_rate(const OptimizerOptions& options, std::int64_t step) {
  if (step < options.warmup) return options.lr * static_cast<double>(step + 1) / static_cast<double>(options.warmup);
  const std::int64_t span = options.steps - 1 - options.warmup;
  if (span <= 0) return options.lr;
  const double done = std::min(1.0, static_cast<double>(step - options.warmup) / static_cast<double>(span));
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return options.lr * (kFinalShare + (1.0 - kFinalShare) * cosine);
}

double gradient_norm(const ParameterLayout& layout, std::span<const float* const> gradients) {
  constexpr std::size_t kLanes = 8;
  double lanes[kLanes] = {};
  for (std::size_t t = 0; t < layout.tensors().size(); ++t) {
    const float* const g = gradients[t];
    const std::size_t size = layout.tensors()[t].size();
    std::size_t i = 0;
    for (; i + kLanes <= size; i += kLanes)
      for (std::size_t j = 0; j < kLanes; ++j)
        lanes[j] += static_cast<double>(g[i + j]) * static_cast<double>(g[i + j]);
    for (std::size_t j = 0; i < size; ++i, ++j) lanes[j] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return std::sqrt(sum);
}

AdamW::AdamW(const ParameterLayout& layout)
    : layout_(layout), first_(layout.count() * sizeof(float)), second_(layout.count() * sizeof(float)) {}

void AdamW::update(std::span<float> weights, std::span<const float* const> gradients, double norm,
                   const OptimizerOptions& options, std::int64_t step) {
  const double lr = learning_rate(options, step);
  const double t = static_cast<double>(step + 1);
  const auto scale = static_cast<float>(options.clip > 0 && norm > options.clip ? options.clip / norm : 1.0);
  const auto beta1 = static_cast<float>(kBeta1), beta2 = static_cast<float>(kBeta2);
  // m / (1-beta1^t) / (sqrt(v / (1-beta2^t)) + eps), with the constants outside the loop.
  const auto rate = static_cast<float>(lr / (1.0 - std::pow(kBeta1, t)));
  const auto correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(kBeta2, t)));
  const auto epsilon = static_cast<float>(kAdamEpsilon);
  for (std::size_t k = 0; k < layout_.tensors().size(); ++k) {
    const TensorSpec& tensor = layout_.tensors()[k];
    const auto keep = static_cast<float>(tensor.decay ? 1.0 - lr * options.weight_decay : 1.0);
    float* const w = weights.data() + tensor.offset;
    float* const m = first_.as<float>() + tensor.offset;
    float* const v = second_.as<float>() + tensor.offset;
    const float* const gradient = gradients[k];
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const float g = gradient[i] * scale;
      m[i] = beta1 * m[i] + (1.0f - beta1) * g;
      v[i] = beta2 * v[i] + (1.0f - beta2) * g * g;
      w[i] = w[i] * keep - rate * m[i] / (std::sqrt(v[i]) * correction + epsilon);
    }
  }
}

}  // namespace ff::fftrain
