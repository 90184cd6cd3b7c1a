// AdamW with decoupled weight decay, clipping by the global gradient norm, and the learning-rate schedule.
//
// Determinism  Every rank runs the same update on the same reduced gradients and must get the same bits. This file is
//              therefore compiled for the baseline instruction set only, and its sums have a fixed order.
// Source       Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
#pragma once

#include <cstdint>
#include <span>

#include "libcommon/base/aligned_buffer.hpp"
#include "tools/fftrain/parameters.hpp"

namespace ff::fftrain {

struct OptimizerOptions {
  double lr = 3e-3;           // at the end of the warm-up
  double weight_decay = 0.1;  // per unit of learning rate
  double clip = 1.0;          // the gradient is scaled down to this norm when longer; 0 never clips
  std::int64_t warmup = 20;   // steps of linear warm-up
  std::int64_t steps = 1000;  // where the cosine ends, at kFinalShare * lr
};
inline constexpr double kFinalShare = 0.1;
inline constexpr double kBeta1 = 0.9;
inline constexpr double kBeta2 = 0.95;
inline constexpr double kAdamEpsilon = 1e-8;

// Of step 0, 1, ...: linear to lr at step warmup-1, then a half cosine down to kFinalShare * lr at the last step.
double learning_rate(const OptimizerOptions& options, std::int64_t step);

// sqrt of the sum of squares over all tensors, in double, in the order of the layout.
double gradient_norm(const ParameterLayout& layout, std::span<const float* const> gradients);

class AdamW {
 public:
  explicit AdamW(const ParameterLayout& layout);

  // One update of step 0, 1, ...; `norm` is gradient_norm() of the gradients, which are not changed.
  void update(std::span<float> weights, std::span<const float* const> gradients, double norm,
              const OptimizerOptions& options, std::int64_t step);

  // First and second moments, in the order of the weights; for checkpoints.
  std::span<float> first() noexcept { return {first_.as<float>(), layout_.count()}; }
  std::span<float> second() noexcept { return {second_.as<float>(), layout_.count()}; }

 private:
  ParameterLayout layout_;
  AlignedBuffer first_;
  AlignedBuffer second_;
};

}  // namespace ff::fftrain
