// Latency: how long something takes, as a distribution to draw from. Pure; the Rng is the caller's.
#pragma once

#include <cmath>
#include <cstdint>

#include "libcommon/base/rng.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::testing {

class Latency {
 public:
  constexpr Latency() noexcept = default;
  static constexpr Latency constant(runtime::Duration value) noexcept { return {Kind::kConstant, value, value, 0}; }
  // REQUIRES: low <= high.
  static constexpr Latency uniform(runtime::Duration low, runtime::Duration high) noexcept {
    return {Kind::kUniform, low, high, 0};
  }
  // A long tail: half of the draws are above `median`, one in six above median * e^sigma.
  static constexpr Latency lognormal(runtime::Duration median, double sigma) noexcept {
    return {Kind::kLognormal, median, median, sigma};
  }
  // The same shape, `factor` times as long.
  constexpr Latency times(double factor) const noexcept {
    return {kind_, scale(low_, factor), scale(high_, factor), sigma_};
  }

  // Never negative; at most an hour.
  runtime::Duration draw(Rng& rng) const noexcept {
    if (kind_ == Kind::kConstant) return low_;
    if (kind_ == Kind::kUniform) {
      const auto width = static_cast<std::uint64_t>((high_ - low_).count());
      return low_ + runtime::Duration(static_cast<std::int64_t>(rng.below(width + 1)));
    }
    const double factor = std::exp(sigma_ * rng.normal());
    const double ns = static_cast<double>(low_.count()) * factor;
    return runtime::Duration(static_cast<std::int64_t>(ns < kNsMax ? ns : kNsMax));
  }

 private:
  enum class Kind : std::uint8_t { kConstant, kUniform, kLognormal };
  static constexpr double kNsMax = 3.6e12;
  constexpr Latency(Kind kind, runtime::Duration low, runtime::Duration high, double sigma) noexcept
      : kind_(kind), low_(low), high_(high), sigma_(sigma) {}
  static constexpr runtime::Duration scale(runtime::Duration value, double factor) noexcept {
    return runtime::Duration(static_cast<std::int64_t>(static_cast<double>(value.count()) * factor));
  }

  Kind kind_ = Kind::kConstant;
  runtime::Duration low_{0};
  runtime::Duration high_{0};
  double sigma_ = 0;
};

// True with probability p; draws nothing when p is 0, so that a fault that is off does not disturb the stream.
inline bool chance(Rng& rng, double p) noexcept { return p > 0 && rng.uniform() < p; }

}  // namespace ff::testing
