// Points in time as Env gives them. In a simulation they are virtual: never call a clock's now() in code that runs
// over an Env, ask the Env.
#pragma once

#include <chrono>

namespace ff::runtime {

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;      // monotonic, of one node
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;  // may step

inline constexpr Time kNever = Time::max();

// now + wait without overflow; a wait that is too long never ends.
inline Time saturating_add(Time now, Duration wait) noexcept { return wait > kNever - now ? kNever : now + wait; }

}  // namespace ff::runtime
