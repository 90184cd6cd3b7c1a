// SimClock: what one node believes about time. Pure: the world's time comes in as an argument.
//
// The monotonic clock starts at an arbitrary point and runs fast or slow by some parts per million; it never steps.
// The wall clock follows it, and steps when told to.
#pragma once

#include <cstdint>

#include "libcommon/runtime/time.hpp"

namespace ff::testing {

class SimClock {
 public:
  explicit SimClock(runtime::Time origin) noexcept : local_(origin) {}

  runtime::Time now(runtime::Time world) const noexcept {
    return local_ + scale(world - world_, kMillion + ppm_, kMillion);
  }
  runtime::WallTime wall(runtime::Time world) const noexcept {
    return runtime::WallTime(kWallEpoch + (now(world) - local_origin()) + wall_offset_);
  }
  // The first instant of the world at which now() is at least `local`.
  runtime::Time world_of(runtime::Time local) const noexcept {
    if (local == runtime::kNever) return runtime::kNever;
    runtime::Time at = world_ + scale(local - local_, kMillion, kMillion + ppm_);
    while (now(at) < local) at += runtime::Duration(1);
    return at;
  }
  // Positive: fast. REQUIRES: |ppm| < 1'000'000.
  void set_drift(runtime::Time world, std::int64_t ppm) noexcept {
    local_ = now(world);
    world_ = world;
    ppm_ = ppm;
  }
  void step_wall(runtime::Duration by) noexcept { wall_offset_ += by; }

 private:
  static constexpr std::int64_t kMillion = 1'000'000;
  static constexpr runtime::Duration kWallEpoch = std::chrono::seconds(1'700'000'000);
  static runtime::Time local_origin() noexcept { return runtime::Time{}; }
  static runtime::Duration scale(runtime::Duration value, std::int64_t numerator, std::int64_t denominator) noexcept {
    if (numerator == denominator) return value;
    const auto wide = static_cast<__int128>(value.count()) * numerator / denominator;
    return runtime::Duration(static_cast<std::int64_t>(wide));
  }

  runtime::Time world_{};
  runtime::Time local_;
  std::int64_t ppm_ = 0;
  runtime::Duration wall_offset_{0};
};

}  // namespace ff::testing
