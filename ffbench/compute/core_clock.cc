#include "ffbench/compute/core_clock.hpp"

#include <fmt/core.h>

#include <charconv>
#include <chrono>

#include "libcommon/base/file.hpp"

namespace ff::bench {

std::optional<double> stated_hz(int cpu, const std::string& root) {
  const auto text = read_file(fmt::format("{}sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq", root, cpu), 256);
  if (!text) return std::nullopt;
  std::uint64_t khz = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), khz);
  if (error != std::errc() || khz == 0) return std::nullopt;
  return static_cast<double>(khz) * 1e3;
}

double measured_hz() noexcept {
  constexpr int kTurns = 1024;
  constexpr int kLinks = 32;
  std::uint64_t value = 1;
  std::uint64_t other = 0x9e3779b97f4a7c15;
  asm volatile("" : "+r"(other));
  const auto begin = std::chrono::steady_clock::now();
  for (int turn = 0; turn < kTurns; ++turn) {
    // Each empty statement makes the compiler finish the operation before it; a register with a register, because
    // some processors add constants for nothing.
#pragma GCC unroll 32
    for (int link = 0; link < kLinks; ++link) {
      value ^= other;
      asm volatile("" : "+r"(value));
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  return kTurns * kLinks / elapsed.count();
}

}  // namespace ff::bench
