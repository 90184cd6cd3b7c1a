#include "tools/fftrain/parameters.hpp"

#include <fmt/core.h>

namespace ff::fftrain {

ParameterLayout::ParameterLayout(const ModelConfig& config) {
  const auto dim = static_cast<std::size_t>(config.dim);
  add("token_embedding", kVocab, dim, true);
  add("position_embedding", static_cast<std::size_t>(config.ctx), dim, true);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = fmt::format("block{}.", layer);
    // In the order of BlockTensor.
    add(prefix + "norm1.gain", 1, dim, false);
    add(prefix + "norm1.bias", 1, dim, false);
    add(prefix + "qkv.weight", 3 * dim, dim, true);
    add(prefix + "qkv.bias", 1, 3 * dim, false);
    add(prefix + "project.weight", dim, dim, true);
    add(prefix + "project.bias", 1, dim, false);
    add(prefix + "norm2.gain", 1, dim, false);
    add(prefix + "norm2.bias", 1, dim, false);
    add(prefix + "up.weight", 4 * dim, dim, true);
    add(prefix + "up.bias", 1, 4 * dim, false);
    add(prefix + "down.weight", dim, 4 * dim, true);
    add(prefix + "down.bias", 1, dim, false);
  }
  add("final_norm.gain", 1, dim, false);
  add("final_norm.bias", 1, dim, false);
}

void ParameterLayout::add(std::string name, std::size_t rows, std::size_t cols, bool decay) {
  tensors_.push_back({std::move(name), rows, cols, decay, count_});
  count_ += rows * cols;
}

}  // namespace ff::fftrain
