#include "ffbench/cmd/storage_options.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    words.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

// "1000" operations a second, or "100MB/s".
Result<double> rate_iops(const std::string& text, std::uint64_t block_bytes) {
  if (text.ends_with("/s")) {
    FF_TRY_ASSIGN(const std::uint64_t bytes, parse_byte_size(text.substr(0, text.size() - 2)));
    return static_cast<double>(bytes) / static_cast<double>(block_bytes);
  }
  char* end = nullptr;
  const double iops = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(iops) || iops < 0)
    return fail(
        Errc::kInvalidArgument,
        fmt::format("--rate: '{}' is no rate (give operations a second like 1000, or bytes like 100MB/s)", text));
  return iops;
}

Result<double> zipf_theta(const std::string& text) {
  if (text == "uniform") return 0.0;
  char* end = nullptr;
  const double theta = text.starts_with("zipf:") ? std::strtod(text.c_str() + 5, &end) : NAN;
  if (end == nullptr || *end != '\0' || !(theta > 0))
    return fail(Errc::kInvalidArgument,
                fmt::format("--random-distribution: '{}' is neither uniform nor zipf:THETA", text));
  return theta;
}

// Everything a case of one pattern and block size needs to know.
Result<StorageJob> job_of(const StorageOptions& o, const std::string& rw, const std::string& bs) {
  StorageJob job;
  FF_TRY_ASSIGN(job.pattern, parse_pattern(rw));
  auto block = parse_byte_size(bs);
  if (!block) return fail(std::move(block).error().context("--bs"));
  job.block_bytes = *block;
  if (job.block_bytes == 0 || job.block_bytes > kGiB)
    return fail(Errc::kInvalidArgument, fmt::format("--bs: {} is not from 1 byte to 1GiB", bs));
  job.depth = static_cast<std::uint32_t>(o.depth);
  job.offset = o.offset.bytes;
  job.size = o.size.bytes / job.block_bytes * job.block_bytes;
  job.read_share = static_cast<double>(o.mix) / 100;
  FF_TRY_ASSIGN(job.rate_iops, rate_iops(o.rate, job.block_bytes));
  job.fsync_every = static_cast<std::uint64_t>(o.fsync);
  FF_TRY_ASSIGN(job.zipf_theta, zipf_theta(o.distribution));
  job.repeat_offsets = o.repeat_offsets;
  job.operations_max = static_cast<std::uint64_t>(o.operations);
  job.seed = static_cast<std::uint64_t>(o.seed);
  FF_TRY(check(job));
  return job;
}

}  // namespace

void add_storage_options(cli::Command& command, StorageOptions& o) {
  const std::vector<cli::Option> shared = {
      {.names = "--rw",
       .target = &o.rw,
       .help = "Patterns, separated by commas: read, write, randread, randwrite, rw, randrw",
       .value_name = "LIST"},
      {.names = "--bs", .target = &o.bs, .help = "Block sizes, separated by commas", .value_name = "LIST"},
      {.names = "--qd", .target = &o.depth, .help = "Operations in flight of each job", .min = 1, .max = 4096},
      {.names = "--jobs", .target = &o.jobs, .help = "Jobs at the same time, a thread each", .min = 1, .max = 1024},
      {.names = "--size", .target = &o.size, .help = "Bytes that each job works on"},
      {.names = "--mix",
       .target = &o.mix,
       .help = "Percent of reads in rw and randrw",
       .value_name = "PERCENT",
       .min = 0,
       .max = 100},
      {.names = "--rate",
       .target = &o.rate,
       .help = "Begin this many operations a second in each job, or bytes like 100MB/s; 0: as many as go",
       .value_name = "RATE"},
      {.names = "--fsync",
       .target = &o.fsync,
       .help = "Sync after every N writes; 0: never",
       .value_name = "N",
       .min = 0},
      {.names = "--random-distribution",
       .target = &o.distribution,
       .help = "Of random offsets: uniform or zipf:THETA",
       .value_name = "DIST"},
      {.names = "--norandommap",
       .target = &o.repeat_offsets,
       .help = "Draw each random offset anew instead of taking every block once in a pass"},
      {.names = "--operations",
       .target = &o.operations,
       .help = "End each round of each job after so many; 0: after --duration",
       .value_name = "N",
       .min = 0},
      {.names = "--seed", .target = &o.seed, .help = "Of offsets and data", .min = 0},
  };
  command.options.insert(command.options.end(), shared.begin(), shared.end());
}

Result<std::vector<StorageJob>> storage_jobs(const StorageOptions& o) {
  std::vector<StorageJob> jobs;
  for (const std::string& rw : words_of(o.rw))
    for (const std::string& bs : words_of(o.bs)) {
      FF_TRY_ASSIGN(jobs.emplace_back(), job_of(o, rw, bs));
    }
  return jobs;
}

}  // namespace ff::bench
