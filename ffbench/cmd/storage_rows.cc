#include <fmt/core.h>

#include <algorithm>

#include "ffbench/cmd/storage.hpp"
#include "ffbench/storage/run.hpp"
#include "libcommon/base/byte_size.hpp"

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

// Without one, "0 ns" would be the best latency there is.
void add_quantiles(Reading& reading, const metrics::Histogram& latency, std::initializer_list<double> quantiles) {
  for (const double quantile : quantiles)
    reading.values.push_back(
        latency.count() == 0 ? std::nullopt : std::optional<double>(static_cast<double>(latency.percentile(quantile))));
}

void note_missing(Reading& reading, const std::string& name, const metrics::Histogram& latency) {
  if (latency.count() == 0 && reading.error.empty())
    reading.error = fmt::format("no {} ended in the time (give it longer)", name);
}

void add_values(Reading& reading, const StorageCounts& counts, std::int64_t elapsed_ns) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(elapsed_ns, 1)) / 1e9;
  reading.values.push_back(static_cast<double>(counts.operations) / seconds);
  reading.values.push_back(static_cast<double>(counts.bytes) / seconds);
  add_quantiles(reading, counts.latency, {0.5, 0.99, 0.999});
  reading.latencies.push_back(counts.latency);
}

}  // namespace

std::string storage_row_name(const StorageJob& job, std::int64_t jobs) {
  return fmt::format("{} bs={} qd={} jobs={}", name_of(job.pattern), exact_byte_size(job.block_bytes), job.depth, jobs);
}

void add_storage_job(Row& row, const StorageJob& job, const StorageRun& run, const std::string& prefix) {
  row.parameters.insert(row.parameters.end(), {{prefix + "rw", std::string(name_of(job.pattern))},
                                               {prefix + "bs", static_cast<std::int64_t>(job.block_bytes)},
                                               {prefix + "qd", static_cast<std::int64_t>(job.depth)},
                                               {prefix + "jobs", run.jobs},
                                               {prefix + "size", static_cast<std::int64_t>(job.size)},
                                               {prefix + "engine", run.engine}});
  if (run.direct) row.parameters.emplace_back(prefix + "direct", *run.direct);
  row.parameters.emplace_back(prefix + "rate_iops", job.rate_iops);
  if (reads(job.pattern)) add_direction(row, prefix + "read");
  if (writes(job.pattern)) add_direction(row, prefix + "write");
  if (!writes(job.pattern) || job.fsync_every == 0) return;
  for (const char* name : {"fsync_p50", "fsync_p99"})
    row.metrics.push_back({.name = prefix + name, .unit = "ns", .better = Better::kLower, .formula = "nearest rank"});
}

void add_storage_values(Reading& reading, const StorageJob& job, const StorageReading& got, const std::string& prefix) {
  if (got.error && reading.error.empty()) reading.error = got.error->message();
  if (reads(job.pattern)) {
    add_values(reading, got.read, got.elapsed_ns);
    note_missing(reading, prefix + "read", got.read.latency);
  }
  if (!writes(job.pattern)) return;
  add_values(reading, got.write, got.elapsed_ns);
  note_missing(reading, prefix + "write", got.write.latency);
  if (job.fsync_every == 0) return;
  add_quantiles(reading, got.sync, {0.5, 0.99});
  note_missing(reading, prefix + "fsync", got.sync);
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
