// StorageJob: what one job of a storage test does to one file or device. Plain data with its rules.
//
// Units    bytes, operations a second, nanoseconds. Threads  Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/metrics/histogram.hpp"

namespace ff::bench {

enum class AccessPattern : std::uint8_t { kRead, kWrite, kRandRead, kRandWrite, kReadWrite, kRandReadWrite };

// fio's words: "read", "write", "randread", "randwrite", "rw" (also "readwrite"), "randrw".
Result<AccessPattern> parse_pattern(std::string_view text);
std::string_view name_of(AccessPattern pattern) noexcept;
const std::vector<std::string>& pattern_names();
bool is_random(AccessPattern pattern) noexcept;
bool reads(AccessPattern pattern) noexcept;
bool writes(AccessPattern pattern) noexcept;

struct StorageJob {
  AccessPattern pattern = AccessPattern::kRead;
  std::uint64_t block_bytes = 4096;
  std::uint32_t depth = 1;   // operations in flight
  std::uint64_t offset = 0;  // the region: [offset, offset + size)
  std::uint64_t size = 0;
  double read_share = 0.5;           // of mixed patterns
  double rate_iops = 0;              // 0: as fast as it goes; else operations begin at begin + k / rate
  std::uint64_t fsync_every = 0;     // writes; 0: never
  double zipf_theta = 0;             // 0: uniform
  bool repeat_offsets = false;       // random: draw each offset anew, instead of every block once in a pass
  std::uint64_t operations_max = 0;  // 0: until the time is over
  std::uint64_t seed = 1;
};

// kInvalidArgument names the option: a region without a whole block, a share outside 0..1, ...
Result<> check(const StorageJob& job);

// What one direction did.
struct StorageCounts {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  metrics::Histogram latency;  // ns, from submission (with a rate: from the intended moment) to completion
};

struct StorageReading {
  StorageReading();
  StorageCounts read, write;
  metrics::Histogram sync;      // ns of each fsync
  std::int64_t elapsed_ns = 0;  // from the begin to the last completion
  std::optional<Error> error;   // why it ended early: what is counted ended before

  // Of jobs that ran side by side: counts add up, elapsed is the longest, the first error stands.
  Result<> merge(const StorageReading& other);
};

// Values to 0.4 %, up to an hour.
metrics::HistogramLayout storage_latency_layout();

}  // namespace ff::bench
