// Ticks: the cheapest clock of this machine for timing single operations: the processor's time stamp counter where the
// kernel vouches for it (clocksource tsc: constant and synchronous between cores), CLOCK_MONOTONIC otherwise.
//
// Cost     clock_cost_ns() says what one reading takes here, measured; tens of nanoseconds at most.
// Rate     Ticks become nanoseconds by a rate that is calibrated once against CLOCK_MONOTONIC (10 ms at first use).
// Threads  Any; the counter is the same on all cores.
#pragma once

#include <cstdint>

namespace ff::bench {

// Monotonic; the unit is Clock's own.
std::uint64_t ticks_now() noexcept;
// Nanoseconds between two readings; exact to 1 part in 10,000.
std::int64_t ticks_to_ns(std::uint64_t ticks) noexcept;
std::uint64_t ns_to_ticks(std::int64_t ns) noexcept;
// Median cost of one ticks_now(), measured once.
double clock_cost_ns() noexcept;
// "tsc" or "clock_monotonic".
const char* clock_name() noexcept;

}  // namespace ff::bench
