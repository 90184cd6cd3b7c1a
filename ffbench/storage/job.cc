#include "ffbench/storage/job.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace ff::bench {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"read", "write", "randread", "randwrite", "rw", "randrw"};

}  // namespace

Result<AccessPattern> parse_pattern(std::string_view text) {
  if (text == "readwrite") return AccessPattern::kReadWrite;
  const auto at = std::ranges::find(kNames, text);
  if (at == kNames.end())
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}' is no pattern (read, write, randread, randwrite, rw, randrw)", text));
  return static_cast<AccessPattern>(at - kNames.begin());
}

std::string_view name_of(AccessPattern pattern) noexcept { return kNames[static_cast<std::size_t>(pattern)]; }

const std::vector<std::string>& pattern_names() {
  static const std::vector<std::string> names(kNames.begin(), kNames.end());
  return names;
}

bool is_random(AccessPattern pattern) noexcept {
  return pattern == AccessPattern::kRandRead || pattern == AccessPattern::kRandWrite ||
         pattern == AccessPattern::kRandReadWrite;
}
bool reads(AccessPattern pattern) noexcept {
  return pattern != AccessPattern::kWrite && pattern != AccessPattern::kRandWrite;
}
bool writes(AccessPattern pattern) noexcept {
  return pattern != AccessPattern::kRead && pattern != AccessPattern::kRandRead;
}

Result<> check(const StorageJob& job) {
  const auto wrong = [](std::string what) { return fail(Errc::kInvalidArgument, std::move(what)); };
  if (job.block_bytes == 0) return wrong("--bs: 0 bytes are no block");
  if (job.depth == 0) return wrong("--qd: 0 operations in flight do nothing (give at least 1)");
  if (job.size < job.block_bytes)
    return wrong(
        fmt::format("--size: {} bytes hold no block of {} (give more, or a smaller --bs)", job.size, job.block_bytes));
  if (!(job.read_share >= 0 && job.read_share <= 1))
    return wrong(fmt::format("--mix: {} % is not from 0 to 100", job.read_share * 100));
  if (!(job.rate_iops >= 0)) return wrong("--rate: is negative");
  if (!(job.zipf_theta >= 0 && job.zipf_theta < 10))
    return wrong(fmt::format("--random-distribution: zipf:{} is not from 0 to 10", job.zipf_theta));
  return {};
}

metrics::HistogramLayout storage_latency_layout() {
  return *metrics::HistogramLayout::make({.sub_bits = 9, .value_max = std::int64_t{3'600'000'000'000}});
}

StorageReading::StorageReading() : sync(storage_latency_layout()) {
  read.latency = metrics::Histogram(storage_latency_layout());
  write.latency = metrics::Histogram(storage_latency_layout());
}

Result<> StorageReading::merge(const StorageReading& other) {
  for (const auto& [mine, theirs] : {std::pair{&read, &other.read}, std::pair{&write, &other.write}}) {
    mine->operations += theirs->operations;
    mine->bytes += theirs->bytes;
    FF_TRY(mine->latency.merge(theirs->latency));
  }
  FF_TRY(sync.merge(other.sync));
  elapsed_ns = std::max(elapsed_ns, other.elapsed_ns);
  if (!error) error = other.error;
  return {};
}

}  // namespace ff::bench
