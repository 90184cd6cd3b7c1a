// The GPT's loss once more, in double precision and by the formulas alone: loops over scalars, no BLAS, libm's exp and
// tanh. It shares nothing with tools/fftrain but the order and the shapes of the tensors.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "tools/fftrain/parameters.hpp"

namespace ff::fftrain::testing {

class ReferenceModel {
 public:
  explicit ReferenceModel(const ModelConfig& config) : c_(config), layout_(config), weights_(layout_.count()) {}

  std::vector<double>& weights() { return weights_; }

  // Sum over positions of -ln p(target).
  double loss(std::span<const std::uint8_t> tokens, std::span<const std::uint8_t> targets, std::int64_t batch,
              std::int64_t length) const {
    double sum = 0.0;
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto at = static_cast<std::size_t>(b * length), count = static_cast<std::size_t>(length);
      sum += sequence_loss(tokens.subspan(at, count), targets.subspan(at, count));
    }
    return sum;
  }

 private:
  using Rows = std::vector<std::vector<double>>;

  const double* tensor(int index) const {
    return weights_.data() + layout_.tensors()[static_cast<std::size_t>(index)].offset;
  }

  Rows linear(const Rows& x, const double* w, const double* b, std::size_t out) const {
    Rows y(x.size(), std::vector<double>(out));
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t o = 0; o < out; ++o) {
        double sum = b[o];
        for (std::size_t k = 0; k < x[i].size(); ++k) sum += x[i][k] * w[o * x[i].size() + k];
        y[i][o] = sum;
      }
    return y;
  }

  static Rows norm(const Rows& x, const double* gain, const double* bias) {
    Rows y = x;
    for (auto& row : y) {
      const double n = static_cast<double>(row.size());
      double mean = 0.0, variance = 0.0;
      for (const double v : row) mean += v / n;
      for (const double v : row) variance += (v - mean) * (v - mean) / n;
      for (std::size_t j = 0; j < row.size(); ++j)
        row[j] = (row[j] - mean) / std::sqrt(variance + 1e-5) * gain[j] + bias[j];
    }
    return y;
  }

  Rows attention(const Rows& qkv) const {
    const auto d = static_cast<std::size_t>(c_.dim), width = static_cast<std::size_t>(c_.head_dim());
    Rows mixed(qkv.size(), std::vector<double>(d));
    for (std::size_t h = 0; h < static_cast<std::size_t>(c_.heads); ++h)
      for (std::size_t i = 0; i < qkv.size(); ++i) {
        std::vector<double> p(i + 1);
        double total = 0.0;
        for (std::size_t j = 0; j <= i; ++j) {
          double score = 0.0;
          for (std::size_t k = 0; k < width; ++k) score += qkv[i][h * width + k] * qkv[j][d + h * width + k];
          total += p[j] = std::exp(score / std::sqrt(static_cast<double>(width)));
        }
        for (std::size_t j = 0; j <= i; ++j)
          for (std::size_t k = 0; k < width; ++k)
            mixed[i][h * width + k] += p[j] / total * qkv[j][2 * d + h * width + k];
      }
    return mixed;
  }

  double sequence_loss(std::span<const std::uint8_t> tokens, std::span<const std::uint8_t> targets) const {
    const auto d = static_cast<std::size_t>(c_.dim);
    const double* const embedding = tensor(0);
    const double* const position = tensor(1);
    Rows x(tokens.size(), std::vector<double>(d));
    for (std::size_t t = 0; t < tokens.size(); ++t)
      for (std::size_t j = 0; j < d; ++j) x[t][j] = embedding[tokens[t] * d + j] + position[t * d + j];
    auto add_to_x = [&x](const Rows& y) {
      for (std::size_t t = 0; t < x.size(); ++t)
        for (std::size_t j = 0; j < x[t].size(); ++j) x[t][j] += y[t][j];
    };
    for (std::int64_t layer = 0; layer < c_.layers; ++layer) {
      const int first = 2 + 12 * static_cast<int>(layer);
      const Rows qkv = linear(norm(x, tensor(first), tensor(first + 1)), tensor(first + 2), tensor(first + 3), 3 * d);
      add_to_x(linear(attention(qkv), tensor(first + 4), tensor(first + 5), d));
      Rows up = linear(norm(x, tensor(first + 6), tensor(first + 7)), tensor(first + 8), tensor(first + 9), 4 * d);
      for (auto& row : up)
        for (double& v : row) v = 0.5 * v * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v)));
      add_to_x(linear(up, tensor(first + 10), tensor(first + 11), d));
    }
    const Rows y = norm(x, tensor(layout_.final_gain()), tensor(layout_.final_bias()));
    double loss = 0.0;
    for (std::size_t t = 0; t < y.size(); ++t) {
      double total = 0.0, target = 0.0;
      for (std::size_t v = 0; v < 256; ++v) {
        double logit = 0.0;
        for (std::size_t j = 0; j < d; ++j) logit += y[t][j] * embedding[v * d + j];
        total += std::exp(logit);
        if (v == targets[t]) target = logit;
      }
      loss += std::log(total) - target;
    }
    return loss;
  }

  ModelConfig c_;
  ParameterLayout layout_;
  std::vector<double> weights_;
};

}  // namespace ff::fftrain::testing
