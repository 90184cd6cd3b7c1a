// How much of the machine others used while we measured: processor time of other processes and of other guests.
// Threads: one LoadMeter, one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ff::bench {

// Sums over all processors since the machine started, in nanoseconds.
struct CpuTimes {
  std::int64_t work_ns = 0;   // user, nice, system: what processes and kernel threads used
  std::int64_t steal_ns = 0;  // the hypervisor ran somebody else
  std::int64_t total_ns = 0;  // with idle time and interrupts
};

// Of the text of /proc/stat, whose unit is 1 / `ticks_per_second`. Nothing for another text.
std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat, std::int64_t ticks_per_second);

// Shares of the time of all processors, 0 to 1.
struct LoadShares {
  double foreign = 0;
  double steal = 0;
};

// `own_ns` is what this process and its children used in between. Nothing below half a second of processor time: the
// kernel counts in steps of 10 ms.
std::optional<LoadShares> load_between(const CpuTimes& begin, const CpuTimes& end, std::int64_t own_ns);

// Processor time of this process, of the children that it waited for, and of all descendants that live now.
std::int64_t own_cpu_ns();

// Counts from its construction.
class LoadMeter {
 public:
  LoadMeter();
  std::optional<LoadShares> so_far() const;

 private:
  std::optional<CpuTimes> begin_;
  std::int64_t own_begin_ns_;
};

}  // namespace ff::bench
