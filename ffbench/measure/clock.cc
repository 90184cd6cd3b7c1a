#include "ffbench/measure/clock.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

enum class Source : int { kUndecided, kTsc, kMonotonic };
std::atomic<Source> source{Source::kUndecided};

// Two threads that decide at once decide alike.
Source decide() noexcept {
  Source found = Source::kMonotonic;
#if defined(__x86_64__)
  // The kernel uses the counter for its own time only when it found it constant and equal on all cores.
  if (machine::text_of("/sys/devices/system/clocksource/clocksource0/current_clocksource") == "tsc")
    found = Source::kTsc;
#endif
  source.store(found, std::memory_order_relaxed);
  return found;
}

// A counter and the time at one instant, as well as they can be read together: of several tries the quickest one, in
// which nothing came between.
struct Instant {
  std::uint64_t ticks = 0, ns = 0;
};

Instant read_both() noexcept {
  Instant best;
  std::uint64_t best_gap = UINT64_MAX;
  for (int i = 0; i < 16; ++i) {
    const std::uint64_t before = ticks_now(), ns = monotonic_ns(), after = ticks_now();
    if (after - before >= best_gap) continue;
    best_gap = after - before;
    best = {before + best_gap / 2, ns};
  }
  return best;
}

// Nanoseconds a tick and ticks a nanosecond as fixed-point numbers with 32 bits of fraction.
struct Rate {
  std::uint64_t ns_per_tick = std::uint64_t{1} << 32;
  std::uint64_t ticks_per_ns = std::uint64_t{1} << 32;
};

Rate calibrate() noexcept {
  if (source.load(std::memory_order_relaxed) == Source::kUndecided) decide();
  if (source.load(std::memory_order_relaxed) == Source::kMonotonic) return {};
  // Both ends are known to some 50 ns, so that 10 ms give 1 part in 100,000.
  const Instant begin = read_both();
  while (monotonic_ns() - begin.ns < 10'000'000) {
  }
  const Instant end = read_both();
  const double rate = static_cast<double>(end.ns - begin.ns) / static_cast<double>(end.ticks - begin.ticks);
  return {static_cast<std::uint64_t>(rate * 0x1p32), static_cast<std::uint64_t>(0x1p32 / rate)};
}

const Rate& rate() noexcept {
  static const Rate calibrated = calibrate();
  return calibrated;
}

std::uint64_t scale(std::uint64_t value, std::uint64_t factor) noexcept {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(value) * factor >> 32);
}

double measure_cost() noexcept {
  constexpr std::size_t kBatches = 31, kReadings = 1000;
  std::array<std::uint64_t, kBatches> costs{};
  for (auto& cost : costs) {
    const std::uint64_t begin = ticks_now();
    for (std::size_t i = 1; i < kReadings; ++i) ticks_now();
    cost = ticks_now() - begin;
  }
  std::ranges::nth_element(costs, costs.begin() + kBatches / 2);
  return static_cast<double>(ticks_to_ns(costs[kBatches / 2])) / kReadings;
}

}  // namespace

std::uint64_t ticks_now() noexcept {
  Source from = source.load(std::memory_order_relaxed);
  if (from == Source::kUndecided) [[unlikely]]
    from = decide();
#if defined(__x86_64__)
  if (from == Source::kTsc) [[likely]]
    return __rdtsc();
#endif
  return monotonic_ns();
}

std::int64_t ticks_to_ns(std::uint64_t ticks) noexcept {
  return static_cast<std::int64_t>(scale(ticks, rate().ns_per_tick));
}

std::uint64_t ns_to_ticks(std::int64_t ns) noexcept {
  return ns <= 0 ? 0 : scale(static_cast<std::uint64_t>(ns), rate().ticks_per_ns);
}

double clock_cost_ns() noexcept {
  static const double cost = measure_cost();
  return cost;
}

const char* clock_name() noexcept {
  if (source.load(std::memory_order_relaxed) == Source::kUndecided) decide();
  return source.load(std::memory_order_relaxed) == Source::kTsc ? "tsc" : "clock_monotonic";
}

}  // namespace ff::bench
