// A team of threads, one bound to each processor of a list, that starts working only when all of them stand.
// Threads  run_on_cpus() returns when every thread has ended; `work` runs on all of them at once, with its position in
//          the list. It must not throw and must end by itself: nobody interrupts it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// The processors this process may use, ascending, when `wanted` is empty; else `wanted`, after checking that it may use
// them and that none is named twice (kInvalidArgument).
Result<std::vector<int>> usable_cpus(const std::vector<int>& wanted);

// `tick`, when given, is called on the caller's thread every 100 ms while the team works.
// kExhausted: a thread could not be started, kIo: not bound; then no work ran.
Result<> run_on_cpus(std::span<const int> cpus, const std::function<void(std::size_t index)>& work,
                     const std::function<void()>& tick = {});

// The part of [0, count) that belongs to `index` of `parts`: equal but for whole multiples of `unit`; the last has the
// rest. Pure.
struct Share {
  std::size_t first = 0;
  std::size_t last = 0;  // past the end
};
Share share_of(std::size_t count, std::size_t unit, std::size_t index, std::size_t parts) noexcept;

}  // namespace ff::bench
