// Causal multi-head self-attention between the qkv projection and the output projection.
//
// Shapes  qkv[batch*length, 3 d]: a row holds the queries, keys and values of one position, d each, heads side by side.
//         probabilities[batch, heads, length, length]: row i of a head is softmax over the keys 0..i, zero after.
//         mixed[batch*length, d]. d = heads * head_dim.
#pragma once

#include <cstdint>

namespace ff::fftrain {

struct AttentionShape {
  std::int64_t batch;
  std::int64_t length;
  std::int64_t heads;
  std::int64_t head_dim;

  std::int64_t dim() const noexcept { return heads * head_dim; }
};

void attention_forward(float* mixed, float* probabilities, const float* qkv, const AttentionShape& shape);

// dqkv is overwritten. `scratch` holds length*length floats.
void attention_backward(float* dqkv, float* scratch, const float* dmixed, const float* qkv, const float* probabilities,
                        const AttentionShape& shape);

}  // namespace ff::fftrain
