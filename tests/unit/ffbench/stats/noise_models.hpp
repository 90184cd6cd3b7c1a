// Samples of a measurement whose true median is 100, for simulations of coverage.
#pragma once

#include <cmath>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::bench {

enum class NoiseModel {
  kNormal,     // standard deviation 1
  kLognormal,  // skewed: median 100, mean 113
  kDrift,      // normal, and a trend over the rounds of up to +-2 in all; the true value is that of its middle
};

inline std::vector<double> draw_samples(NoiseModel model, std::size_t n, Rng& rng) {
  std::vector<double> samples;
  const double slope = (rng.uniform() - 0.5) * 8 / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double noise = rng.normal();
    const double place = static_cast<double>(i) - static_cast<double>(n - 1) / 2;
    switch (model) {
      case NoiseModel::kNormal: samples.push_back(100 + noise); break;
      case NoiseModel::kLognormal: samples.push_back(100 * std::exp(0.5 * noise)); break;
      case NoiseModel::kDrift: samples.push_back(100 + noise + slope * place); break;
    }
  }
  return samples;
}

}  // namespace ff::bench
