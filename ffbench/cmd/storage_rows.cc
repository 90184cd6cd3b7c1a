#include <fmt/core.h>

#include <algorithm>

#include "ffbench/cmd/storage.hpp"
#include "ffbench/storage/run.hpp"

namespace ff::bench {
namespace {

void add_direction(Row& row, const std::string& name) {
  row.metrics.push_back({.name = name + "_iops", .unit = "1/s", .formula = "operations / elapsed time"});
  row.metrics.push_back({.name = name + "_bandwidth", .unit = "B/s", .formula = "bytes / elapsed time"});
  for (const char* quantile : {"p50", "p99", "p999"})
    row.metrics.push_back({.name = fmt::format("{}_latency_{}", name, quantile),
                           .unit = "ns",
                           .better = Better::kLower,
                           .formula = "nearest rank, submission (with a rate: intended moment) to completion"});
  row.latencies.push_back({.name = name, .histogram = metrics::Histogram(storage_latency_layout())});
}

void add_values(Reading& reading, const StorageCounts& counts, std::int64_t elapsed_ns) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(elapsed_ns, 1)) / 1e9;
  reading.values.push_back(static_cast<double>(counts.operations) / seconds);
  reading.values.push_back(static_cast<double>(counts.bytes) / seconds);
  for (const double quantile : {0.5, 0.99, 0.999})
    reading.values.push_back(static_cast<double>(counts.latency.percentile(quantile)));
  reading.latencies.push_back(counts.latency);
}

}  // namespace

void add_storage_metrics(Row& row, const StorageJob& job, const std::string& prefix) {
  if (reads(job.pattern)) add_direction(row, prefix + "read");
  if (writes(job.pattern)) add_direction(row, prefix + "write");
  if (!writes(job.pattern) || job.fsync_every == 0) return;
  for (const char* name : {"fsync_p50", "fsync_p99"})
    row.metrics.push_back({.name = prefix + name, .unit = "ns", .better = Better::kLower, .formula = "nearest rank"});
}

void add_storage_values(Reading& reading, const StorageJob& job, const StorageReading& got) {
  if (reads(job.pattern)) add_values(reading, got.read, got.elapsed_ns);
  if (writes(job.pattern)) add_values(reading, got.write, got.elapsed_ns);
  if (!writes(job.pattern) || job.fsync_every == 0) return;
  for (const double quantile : {0.5, 0.99})
    reading.values.push_back(static_cast<double>(got.sync.percentile(quantile)));
}

Result<> check_storage_reading(const StorageReading& got) {
  if (got.read.operations + got.write.operations > 0) return {};
  if (got.error) return fail(*got.error);
  return fail(Errc::kTimeout, "no operation ended in the time (give it longer)");
}

Result<> check_direct(const std::string& path, std::uint64_t block_bytes, std::uint64_t offset) {
  FF_TRY_ASSIGN(const std::uint64_t alignment, direct_alignment_of(path));
  if (alignment == 1)
    return fail(Errc::kUnsupported, path + ": this file system has no direct I/O (go through its cache: --buffered)");
  if (block_bytes % alignment != 0 || offset % alignment != 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: direct I/O wants block size and offset in multiples of {} bytes, not {} at {} (go "
                            "through the cache: --buffered)",
                            path, alignment, block_bytes, offset));
  return {};
}

}  // namespace ff::bench
