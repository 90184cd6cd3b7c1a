// What makes figures doubtful, as sentences for the document. Pure; the Session gathers the facts.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffbench/measure/load.hpp"
#include "ffbench/result/document.hpp"

namespace ff::bench {

// Limits above which something is worth a warning.
inline constexpr double kSpreadMax = 0.10;   // (max - min) / median over the rounds of one metric
inline constexpr double kForeignMax = 0.05;  // of all processor time
inline constexpr double kStealMax = 0.01;
inline constexpr double kFrequencyMax = 0.05;  // (max - min) / median of the processors' clock between rounds

struct NoiseFacts {
  std::optional<LoadShares> load;
  std::string governor = {};                // empty: not known
  std::string clock_source = {};            // of the kernel; empty: not known
  std::vector<double> frequencies_hz = {};  // of the fastest processor in use, read between rounds
};

std::vector<std::string> noise_warnings(const NoiseFacts& facts, std::span<const Row> rows);

}  // namespace ff::bench
