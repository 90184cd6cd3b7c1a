// Integer arithmetic, SHA-256 and CRC-32C on every processor, each with an answer that is known beforehand.
//
// integer  2^20 steps of a linear congruential generator (64-bit multiply, add, divide and multiply back); the answer
//          is the closed form of 2^20 steps, by squaring the step twenty times.
// sha256   of one million letters 'a': the vector of FIPS 180-2, appendix B.3.
// crc32c   the vectors of RFC 3720, appendix B.4, then 1 MiB whole against the same in uneven pieces.
// Threads  One a processor, bound to it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

enum class CoreWork : std::uint8_t { kInteger, kSha256, kCrc32c };
inline constexpr int kCoreWorkCount = 3;
std::string_view core_work_name(CoreWork work) noexcept;  // "integer", "sha256", "crc32c"

// Flips one bit of the state in the middle of the first round of one processor.
struct CoreInjection {
  CoreWork work = CoreWork::kInteger;
  std::size_t cpu_index = 0;
};

struct CoreStressOptions {
  std::vector<int> cpus = {};  // empty: all that this process may use
  std::optional<CoreInjection> inject = {};
};

struct CoreStressReport {
  std::vector<int> cpus;
  // By work, then in the order of cpus: rounds a second, and rounds whose answer was wrong.
  std::array<std::vector<double>, kCoreWorkCount> rate;
  std::array<std::vector<std::uint64_t>, kCoreWorkCount> wrong;
  std::uint64_t rounds = 0;
  std::uint64_t wrong_rounds = 0;
};

// At least one round of each work on every processor. A wrong answer is no error: see the report.
Result<CoreStressReport> stress_cores(const CoreStressOptions& options, std::chrono::nanoseconds duration,
                                      std::stop_token stop);

// One round; false when its answer is wrong. With `inject` it computes with a flipped bit.
bool run_core_work(CoreWork work, bool inject) noexcept;

}  // namespace ff::bench
