// Model: a byte-level GPT with its weights and the memory for one batch. Forward, backward, next-byte logits.
//
// Shapes     tokens and targets [batch, length], row-major bytes; length <= config.ctx, batch <= batch_max.
// Numerics   fp32; the loss is summed in double. With one BLAS thread, equal inputs give equal bits on one machine.
// Ownership  Owns weights and activations; gradients belong to the caller.
// Threads    One caller at a time; distinct models are independent. See use_one_thread() in libcommon/blas/blas.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "libcommon/base/aligned_buffer.hpp"
#include "tools/fftrain/attention.hpp"
#include "tools/fftrain/model_config.hpp"
#include "tools/fftrain/parameters.hpp"

namespace ff::fftrain {

class Model {
 public:
  // REQUIRES: check(config) holds, batch_max >= 1. Weights are zero until initialise() or a checkpoint fills them.
  Model(const ModelConfig& config, std::int64_t batch_max);

  // Memory that a Model takes, for refusing a configuration before allocating it. Saturates at 2^63.
  static std::uint64_t memory_bytes(const ModelConfig& config, std::int64_t batch_max);

  // Normal(0, 0.02) matrices, those that write to the residual stream scaled by 1/sqrt(2 layers) (GPT-2), gains 1,
  // biases 0. The same seed gives the same weights on every rank.
  void initialise(std::uint64_t seed);

  // Sum over all positions of -ln p(target), in nats. Keeps what backward needs.
  double forward(std::span<const std::uint8_t> tokens, std::span<const std::uint8_t> targets, std::int64_t batch,
                 std::int64_t length);

  // Gradients of `scale` * (sum of the last forward) by every weight. gradients[t] points to the tensor's size()
  // floats, which are overwritten. ready(t) is called once for each tensor, when nothing more is written to it, in
  // reverse order of the layout. REQUIRES: forward() came before, weights unchanged since.
  void backward(float scale, std::span<float* const> gradients, const std::function<void(int)>& ready);

  // Logits of the byte after `tokens` (1..ctx of them); valid until the next call.
  std::span<const float> next_logits(std::span<const std::uint8_t> tokens);

  const ModelConfig& config() const noexcept { return config_; }
  const ParameterLayout& layout() const noexcept { return layout_; }
  std::span<float> weights() noexcept { return {weights_.as<float>(), layout_.count()}; }
  std::span<const float> weights() const noexcept { return {weights_.as<float>(), layout_.count()}; }

 private:
  // What backward needs of a block: n rows = batch * length.
  struct BlockActivations {
    float* input;          // [n, d] residual stream on entry
    float* norm1;          // [n, d]
    float* mean1;          // [n]
    float* rstd1;          // [n]
    float* qkv;            // [n, 3d]
    float* probabilities;  // [batch, heads, length, length]
    float* mixed;          // [n, d]
    float* middle;         // [n, d] residual stream after attention
    float* norm2;          // [n, d]
    float* mean2;
    float* rstd2;
    float* up;      // [n, 4d] before GELU
    float* active;  // [n, 4d] after GELU
  };

  float* weight(int tensor) noexcept { return weights_.as<float>() + layout_.tensors()[tensor].offset; }
  float* block_weight(std::int64_t layer, BlockTensor which) noexcept { return weight(layout_.block(layer, which)); }
  AttentionShape attention_shape() const noexcept { return {batch_, length_, config_.heads, config_.head_dim()}; }
  // Up to and including the final norm.
  void forward_hidden(std::span<const std::uint8_t> tokens, std::int64_t batch, std::int64_t length);
  void forward_block(std::int64_t layer, float* output);
  void backward_block(std::int64_t layer, std::span<float* const> gradients, const std::function<void(int)>& ready);

  ModelConfig config_;
  ParameterLayout layout_;
  std::int64_t batch_max_;
  AlignedBuffer weights_;
  AlignedBuffer arena_;  // all pointers below lead into it

  std::vector<BlockActivations> blocks_;
  float* final_input_ = nullptr;    // [n, d]
  float* final_output_ = nullptr;   // [n, d]
  float* final_mean_ = nullptr;     // [n]
  float* final_rstd_ = nullptr;     // [n]
  float* logits_ = nullptr;         // [n, 256], probabilities after forward, their gradient in backward
  float* residual_grad_ = nullptr;  // [n, d] gradient by the residual stream, carried down through the blocks
  float* narrow_grad_ = nullptr;    // [n, d]
  float* wide_grad_ = nullptr;      // [n, 4d]
  float* score_grad_ = nullptr;     // [ctx, ctx]

  // Of the last forward.
  std::int64_t batch_ = 0;
  std::int64_t length_ = 0;
  std::vector<std::uint8_t> tokens_;
  std::vector<std::uint8_t> targets_;
};

}  // namespace ff::fftrain
