#include "tools/fftrain/model.hpp"

#include <algorithm>
#include <cmath>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/blas/blas.hpp"
#include "tools/fftrain/layers.hpp"

namespace ff::fftrain {
namespace {

constexpr float kInitialDeviation = 0.02f;

// Floats of activations and backward scratch; doubles so that absurd configurations do not overflow before they are
// refused. Every array is rounded up to a cache line by take() below: the slack covers that.
double arena_floats(const ModelConfig& c, std::int64_t batch) {
  const auto n = static_cast<double>(batch * c.ctx), d = static_cast<double>(c.dim);
  const double scores = static_cast<double>(c.heads * c.ctx) * n;
  const double block = n * d * 16 + n * 4 + scores;
  const double rest = n * d * 8 + n * (2 + kVocab) + static_cast<double>(c.ctx * c.ctx);
  const double slack = 16.0 * (13.0 * static_cast<double>(c.layers) + 9);
  return block * static_cast<double>(c.layers) + rest + slack;
}

}  // namespace

std::uint64_t Model::memory_bytes(const ModelConfig& config, std::int64_t batch_max) {
  const double weights = static_cast<double>(ParameterLayout(config).count());
  const double bytes = 4.0 * (arena_floats(config, batch_max) + weights);
  return static_cast<std::uint64_t>(std::min(bytes, 0x1p63));
}

Model::Model(const ModelConfig& config, std::int64_t batch_max)
    : config_(config),
      layout_(config),
      batch_max_(batch_max),
      weights_(layout_.count() * sizeof(float)),
      arena_(static_cast<std::size_t>(arena_floats(config, batch_max)) * sizeof(float)) {
  const std::int64_t n = batch_max * config.ctx, d = config.dim;
  float* next = arena_.as<float>();
  auto take = [&next](std::int64_t floats) {
    float* const taken = next;
    next += (floats + 15) / 16 * 16;
    return taken;
  };
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    BlockActivations& a = blocks_.emplace_back();
    for (float** array : {&a.input, &a.norm1, &a.mixed, &a.middle, &a.norm2}) *array = take(n * d);
    for (float** array : {&a.mean1, &a.rstd1, &a.mean2, &a.rstd2}) *array = take(n);
    a.qkv = take(n * 3 * d);
    a.probabilities = take(n * config.heads * config.ctx);
    a.up = take(n * 4 * d);
    a.active = take(n * 4 * d);
  }
  for (float** array : {&final_input_, &final_output_, &residual_grad_, &narrow_grad_}) *array = take(n * d);
  for (float** array : {&final_mean_, &final_rstd_}) *array = take(n);
  wide_grad_ = take(n * 4 * d);
  logits_ = take(n * kVocab);
  score_grad_ = take(config.ctx * config.ctx);
  FF_ASSERT(static_cast<std::size_t>(next - arena_.as<float>()) * sizeof(float) <= arena_.size(), arena_.size());
}

void Model::initialise(std::uint64_t seed) {
  Rng rng(seed);
  const float residual_scale = 1.0f / std::sqrt(2.0f * static_cast<float>(config_.layers));
  for (const TensorSpec& tensor : layout_.tensors()) {
    float* const w = weights_.as<float>() + tensor.offset;
    const bool to_residual = tensor.name.ends_with("project.weight") || tensor.name.ends_with("down.weight");
    const float deviation = kInitialDeviation * (to_residual ? residual_scale : 1.0f);
    if (tensor.decay)
      std::generate_n(w, tensor.size(), [&] { return deviation * static_cast<float>(rng.normal()); });
    else
      std::fill_n(w, tensor.size(), tensor.name.ends_with("gain") ? 1.0f : 0.0f);
  }
}

void Model::forward_hidden(std::span<const std::uint8_t> tokens, std::int64_t batch, std::int64_t length) {
  FF_ASSERT(batch >= 1 && batch <= batch_max_ && length >= 1 && length <= config_.ctx, batch, length);
  FF_ASSERT(tokens.size() == static_cast<std::size_t>(batch * length), tokens.size());
  batch_ = batch;
  length_ = length;
  tokens_.assign(tokens.begin(), tokens.end());
  embedding_forward(blocks_[0].input, tokens_.data(), weight(ParameterLayout::kTokenEmbedding),
                    weight(ParameterLayout::kPositionEmbedding), batch, length, config_.dim);
  for (std::int64_t layer = 0; layer < config_.layers; ++layer)
    forward_block(layer, layer + 1 < config_.layers ? blocks_[layer + 1].input : final_input_);
  layer_norm_forward(final_output_, final_mean_, final_rstd_, final_input_, weight(layout_.final_gain()),
                     weight(layout_.final_bias()), batch * length, config_.dim);
}

void Model::forward_block(std::int64_t layer, float* output) {
  BlockActivations& a = blocks_[layer];
  const std::int64_t n = batch_ * length_, d = config_.dim;
  auto w = [&](BlockTensor which) { return block_weight(layer, which); };

  layer_norm_forward(a.norm1, a.mean1, a.rstd1, a.input, w(kNorm1Gain), w(kNorm1Bias), n, d);
  linear_forward(a.qkv, a.norm1, w(kQkvWeight), w(kQkvBias), n, d, 3 * d);
  attention_forward(a.mixed, a.probabilities, a.qkv, attention_shape());
  linear_forward(a.middle, a.mixed, w(kProjectWeight), w(kProjectBias), n, d, d);
  add(a.middle, a.middle, a.input, n * d);

  layer_norm_forward(a.norm2, a.mean2, a.rstd2, a.middle, w(kNorm2Gain), w(kNorm2Bias), n, d);
  linear_forward(a.up, a.norm2, w(kUpWeight), w(kUpBias), n, d, 4 * d);
  gelu_forward(a.active, a.up, n * 4 * d);
  linear_forward(output, a.active, w(kDownWeight), w(kDownBias), n, 4 * d, d);
  add(output, output, a.middle, n * d);
}

double Model::forward(std::span<const std::uint8_t> tokens, std::span<const std::uint8_t> targets, std::int64_t batch,
                      std::int64_t length) {
  forward_hidden(tokens, batch, length);
  FF_ASSERT(targets.size() == tokens.size(), targets.size(), tokens.size());
  targets_.assign(targets.begin(), targets.end());
  const std::int64_t n = batch * length, d = config_.dim;
  blas::multiply(logits_, kVocab, {final_output_, d}, {weight(ParameterLayout::kTokenEmbedding), d, true}, n, kVocab,
                 d);
  return cross_entropy_forward(logits_, targets_.data(), n);
}

void Model::backward(float scale, std::span<float* const> gradients, const std::function<void(int)>& ready) {
  FF_ASSERT(!targets_.empty() && gradients.size() == layout_.tensors().size(), targets_.size(), gradients.size());
  const std::int64_t n = batch_ * length_, d = config_.dim;
  float* const token_grad = gradients[ParameterLayout::kTokenEmbedding];
  float* const token_weight = weight(ParameterLayout::kTokenEmbedding);

  cross_entropy_backward(logits_, targets_.data(), n, scale);
  blas::multiply(token_grad, d, {logits_, kVocab, true}, {final_output_, d}, kVocab, d, n);
  linear_backward_input(narrow_grad_, logits_, token_weight, n, d, kVocab);
  std::fill_n(residual_grad_, n * d, 0.0f);
  layer_norm_backward(residual_grad_, gradients[layout_.final_gain()], gradients[layout_.final_bias()], narrow_grad_,
                      final_input_, final_mean_, final_rstd_, weight(layout_.final_gain()), n, d);
  ready(layout_.final_bias());
  ready(layout_.final_gain());
  for (std::int64_t layer = config_.layers - 1; layer >= 0; --layer) backward_block(layer, gradients, ready);
  embedding_backward(token_grad, gradients[ParameterLayout::kPositionEmbedding], residual_grad_, tokens_.data(), batch_,
                     length_, config_.ctx, d);
  ready(ParameterLayout::kPositionEmbedding);
  ready(ParameterLayout::kTokenEmbedding);
}

void Model::backward_block(std::int64_t layer, std::span<float* const> gradients,
                           const std::function<void(int)>& ready) {
  const BlockActivations& a = blocks_[layer];
  const std::int64_t n = batch_ * length_, d = config_.dim;
  auto w = [&](BlockTensor which) { return block_weight(layer, which); };
  auto g = [&](BlockTensor which) { return gradients[layout_.block(layer, which)]; };
  // A layer's two tensors are complete together; the later one of the layout goes first.
  auto both_ready = [&](BlockTensor first, BlockTensor second) {
    ready(layout_.block(layer, second));
    ready(layout_.block(layer, first));
  };

  // Weight gradients come before the gradient by the layer's input, so that their transfer starts sooner.
  linear_backward_weights(g(kDownWeight), g(kDownBias), residual_grad_, a.active, n, 4 * d, d);
  both_ready(kDownWeight, kDownBias);
  linear_backward_input(wide_grad_, residual_grad_, w(kDownWeight), n, 4 * d, d);
  gelu_backward(wide_grad_, a.up, n * 4 * d);
  linear_backward_weights(g(kUpWeight), g(kUpBias), wide_grad_, a.norm2, n, d, 4 * d);
  both_ready(kUpWeight, kUpBias);
  linear_backward_input(narrow_grad_, wide_grad_, w(kUpWeight), n, d, 4 * d);
  layer_norm_backward(residual_grad_, g(kNorm2Gain), g(kNorm2Bias), narrow_grad_, a.middle, a.mean2, a.rstd2,
                      w(kNorm2Gain), n, d);
  both_ready(kNorm2Gain, kNorm2Bias);

  linear_backward_weights(g(kProjectWeight), g(kProjectBias), residual_grad_, a.mixed, n, d, d);
  both_ready(kProjectWeight, kProjectBias);
  linear_backward_input(narrow_grad_, residual_grad_, w(kProjectWeight), n, d, d);
  attention_backward(wide_grad_, score_grad_, narrow_grad_, a.qkv, a.probabilities, attention_shape());
  linear_backward_weights(g(kQkvWeight), g(kQkvBias), wide_grad_, a.norm1, n, d, 3 * d);
  both_ready(kQkvWeight, kQkvBias);
  linear_backward_input(narrow_grad_, wide_grad_, w(kQkvWeight), n, d, 3 * d);
  layer_norm_backward(residual_grad_, g(kNorm1Gain), g(kNorm1Bias), narrow_grad_, a.input, a.mean1, a.rstd1,
                      w(kNorm1Gain), n, d);
  both_ready(kNorm1Gain, kNorm1Bias);
}

std::span<const float> Model::next_logits(std::span<const std::uint8_t> tokens) {
  forward_hidden(tokens, 1, static_cast<std::int64_t>(tokens.size()));
  targets_.clear();  // backward would not belong to this pass
  const float* const last = final_output_ + (length_ - 1) * config_.dim;
  blas::multiply(logits_, kVocab, {last, config_.dim}, {weight(ParameterLayout::kTokenEmbedding), config_.dim, true}, 1,
                 kVocab, config_.dim);
  return {logits_, kVocab};
}

}  // namespace ff::fftrain
