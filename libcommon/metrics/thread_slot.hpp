// thread_slot: a small number for the calling thread, to pick its shard of a counter. Live threads have distinct
// numbers, the smallest that are free, so that N threads use 0..N-1 however many came and went before. Beyond
// kThreadSlotsMax live threads numbers repeat, which sharded counters bear (they add atomically).
#pragma once

#include <cstdint>

namespace ff::metrics {

inline constexpr std::uint32_t kThreadSlotsMax = 4096;

namespace detail {
inline constexpr std::uint32_t kNoSlot = UINT32_MAX;
// Constant-initialised, so that reading it is one instruction and no guard.
extern constinit thread_local std::uint32_t t_slot;
std::uint32_t take_thread_slot() noexcept;
}  // namespace detail

inline std::uint32_t thread_slot() noexcept {
  const std::uint32_t slot = detail::t_slot;
  return slot != detail::kNoSlot ? slot : detail::take_thread_slot();
}

}  // namespace ff::metrics
