// ParameterLayout: which tensors the model has, where each lies in the flat fp32 weight array, and in which order
// backward completes their gradients.
//
// Order      Forward order: token embedding, position embedding, the tensors of each block, the final norm. Backward
//            completes gradients in exactly the reverse order; the token embedding comes last because its gradient has
//            two parts, the tied head (first thing in backward) and the lookup (last thing).
// Stability  Names and order are the checkpoint's; see checkpoint.md.
// Shapes     Matrices are row-major [rows, cols]; linear layers compute y = x W^T + b, W is [out, in]. Vectors have
// rows 1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/fftrain/model_config.hpp"

namespace ff::fftrain {

struct TensorSpec {
  std::string name;
  std::size_t rows = 1;
  std::size_t cols = 0;
  bool decay = false;      // weight decay applies: matrices, not norms and biases
  std::size_t offset = 0;  // elements from the start of the weight array

  std::size_t size() const noexcept { return rows * cols; }
};

enum BlockTensor : int {
  kNorm1Gain,
  kNorm1Bias,
  kQkvWeight,
  kQkvBias,
  kProjectWeight,
  kProjectBias,
  kNorm2Gain,
  kNorm2Bias,
  kUpWeight,
  kUpBias,
  kDownWeight,
  kDownBias,
  kBlockTensorCount,
};

class ParameterLayout {
 public:
  // REQUIRES: check(config) holds.
  explicit ParameterLayout(const ModelConfig& config);

  const std::vector<TensorSpec>& tensors() const noexcept { return tensors_; }
  std::size_t count() const noexcept { return count_; }  // elements of all tensors

  static constexpr int kTokenEmbedding = 0;
  static constexpr int kPositionEmbedding = 1;
  static int block(std::int64_t layer, BlockTensor which) noexcept {
    return 2 + static_cast<int>(layer) * kBlockTensorCount + which;
  }
  int final_gain() const noexcept { return static_cast<int>(tensors_.size()) - 2; }
  int final_bias() const noexcept { return static_cast<int>(tensors_.size()) - 1; }

 private:
  void add(std::string name, std::size_t rows, std::size_t cols, bool decay);
  std::vector<TensorSpec> tensors_;
  std::size_t count_ = 0;
};

}  // namespace ff::fftrain
