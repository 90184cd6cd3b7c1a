// Latency of memory: nanoseconds from one load to the next that needs its value, over a random cycle through `bytes`.
//
// Method   Each cache line of the buffer holds the address of the next in one random cycle over all of them (Sattolo),
//          so that neither prefetchers nor out-of-order execution help. Huge pages are asked for (then the page walk
//          does not count where the kernel grants them); the thread is bound to `cpu`, which first touches the buffer.
// Meaning  `bytes` below a cache's size give that cache's latency, far above the last level's that of DRAM.
// Threads  Pure but for the memory and one thread, which is joined before the return.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// ns a load. kInvalidArgument: less than two lines, unknown processor; kExhausted; kCancelled.
Result<double> measure_memory_latency(std::uint64_t bytes, int cpu, std::chrono::nanoseconds duration,
                                      std::stop_token stop);

}  // namespace ff::bench
