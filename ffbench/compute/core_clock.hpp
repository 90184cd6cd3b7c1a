// How fast a processor runs: the frequency the kernel states, and the one that a chain of dependent operations shows
// (one a cycle on every processor we know), which needs no kernel and holds under load and in virtual machines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ff::bench {

// Hz of cpufreq's scaling_cur_freq; nothing where the kernel has no cpufreq. `root` is "/" but in tests.
std::optional<double> stated_hz(int cpu, const std::string& root = "/");

// Runs some 10 us on the calling thread's processor. Too low when the thread was interrupted; take a median.
double measured_hz() noexcept;

}  // namespace ff::bench
