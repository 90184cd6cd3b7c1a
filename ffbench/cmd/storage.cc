// `ffbench storage`: load on files, devices and mounted file systems.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/cmd/storage.hpp"
#include "ffbench/storage/run.hpp"
#include "ffbench/storage/target.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::string target, rw = "randread", bs = "4KiB", engine = "uring", rate = "0", distribution = "uniform";
  std::int64_t depth = 16, jobs = 1, mix = 50, fsync = 0, seed = 1, operations = 0;
  cli::ByteSize size{0}, offset{0};
  bool force = false, keep = false, buffered = false, repeat_offsets = false;
};

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
Result<StorageJob> job_of(const Options& o, const std::string& rw, const std::string& bs) {
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

Row row_of(const StorageJob& job, const Options& o, bool direct) {
  Row row{.name = storage_row_name(job, o.jobs)};
  add_storage_job(row, job, {.jobs = o.jobs, .engine = o.engine, .direct = direct});
  return row;
}

// One file for all jobs (raw), or one each (path).
struct Place {
  std::vector<std::string> paths;
  bool direct = true;
};

Case case_of(const StorageJob& job, const Place& place, const Options& o) {
  const Engine engine = o.engine == "psync" ? Engine::kPsync : Engine::kUring;
  auto round = std::make_shared<std::uint64_t>(0);
  return {.row = row_of(job, o, place.direct),
          .measure = [=, jobs = o.jobs, counted = o.operations > 0](std::chrono::nanoseconds duration,
                                                                    std::stop_token stop) -> Result<Reading> {
            std::vector<JobTarget> targets;
            for (std::int64_t i = 0; i < jobs; ++i) {
              targets.push_back({.job = job,
                                 .path = place.paths[static_cast<std::size_t>(i) % place.paths.size()],
                                 .direct = place.direct});
              targets.back().job.seed = job.seed + (*round)++;
            }
            if (!place.direct && reads(job.pattern))
              for (const std::string& path : place.paths) FF_TRY(drop_cache(path));
            FF_TRY_ASSIGN(const StorageReading got,
                          run_jobs(targets, engine, counted ? std::chrono::nanoseconds(0) : duration, stop));
            FF_TRY(check_storage_reading(got));
            Reading reading;
            add_storage_values(reading, job, got);
            return reading;
          }};
}

Result<std::vector<StorageJob>> jobs_of(const Options& o) {
  if (o.engine == "psync" && o.depth != 1)
    return fail(Errc::kInvalidArgument,
                "--qd: blocking calls have one operation in flight (give --qd 1, and more --jobs)");
  std::vector<StorageJob> jobs;
  for (const std::string& rw : words_of(o.rw))
    for (const std::string& bs : words_of(o.bs)) {
      FF_TRY_ASSIGN(jobs.emplace_back(), job_of(o, rw, bs));
    }
  return jobs;
}

Result<int> measure(Session& session, const std::vector<StorageJob>& jobs, const Place& place, const Options& o) {
  for (const StorageJob& job : jobs)
    if (place.direct) FF_TRY(check_direct(place.paths.front(), job.block_bytes, job.offset));
  std::vector<Case> cases;
  for (const StorageJob& job : jobs) cases.push_back(case_of(job, place, o));
  return session.run(std::move(cases));
}

Result<int> run_raw(Options& o, const Arguments& arguments) {
  FF_TRY_ASSIGN(const TargetFacts facts, look_at(o.target));
  if (!facts.exists)
    return fail(Errc::kNotFound, o.target +
                                     ": does not exist (make a file of the wanted size first, or use "
                                     "`ffbench storage path FOLDER`)");
  if (o.size.bytes == 0) o.size.bytes = facts.bytes > o.offset.bytes ? facts.bytes - o.offset.bytes : 0;
  if (o.offset.bytes > facts.bytes || o.size.bytes > facts.bytes - o.offset.bytes)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: has {} bytes; --offset and --size reach beyond them", o.target, facts.bytes));
  FF_TRY_ASSIGN(const auto jobs, jobs_of(o));
  WriteClaims claims;
  if (std::ranges::any_of(jobs, [](const StorageJob& job) { return writes(job.pattern); }))
    FF_TRY(claims.claim(o.target, facts, o.force));
  FF_TRY_ASSIGN(Session session, Session::open("storage raw", o.measure, arguments));
  return measure(session, jobs, {.paths = {o.target}, .direct = !o.buffered}, o);
}

Result<int> run_path(Options& o, const Arguments& arguments) {
  if (o.size.bytes == 0) o.size.bytes = 256 * kMiB;
  o.offset.bytes = 0;
  FF_TRY_ASSIGN(const auto jobs, jobs_of(o));
  FF_TRY_ASSIGN(Session session, Session::open("storage path", o.measure, arguments));
  FF_TRY_ASSIGN(WorkFolder work, WorkFolder::make(o.target, "ffbench-storage"));
  if (o.keep) work.keep();
  Place place{.paths = {}, .direct = !o.buffered};
  for (std::int64_t i = 0; i < o.jobs; ++i) {
    place.paths.push_back(fmt::format("{}/job.{}", work.path(), i));
    FF_TRY_CTX(prepare_file(place.paths.back(), 0, o.size.bytes, static_cast<std::uint64_t>(o.seed + i), place.direct,
                            session.stop()),
               "lay out");
  }
  return measure(session, jobs, place, o);
}

void add_options(cli::Command& command, Options& o) {
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
      {.names = "--engine",
       .target = &o.engine,
       .help = "io_uring with registered buffers, or blocking calls",
       .choices = {"uring", "psync"}},
      {.names = "--buffered",
       .target = &o.buffered,
       .help = "Through the page cache instead of O_DIRECT; it is emptied before each round of reads"},
  };
  command.options.insert(command.options.end(), shared.begin(), shared.end());
  o.measure.add_to(command);
}

cli::Command raw_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "raw";
  command.summary = "Load one existing file or block device";
  command.description =
      "All jobs work on the same region of TARGET. Patterns that write refuse an existing file or device without "
      "--force, "
      "and a device that is mounted, used for swapping or part of another device always.";
  command.options = {{.names = "target",
                      .target = &o.target,
                      .help = "File or block device",
                      .value_name = "TARGET",
                      .required = true,
                      .complete = "file"},
                     {.names = "--offset", .target = &o.offset, .help = "Begin of the region"},
                     {.names = "--force", .target = &o.force, .help = "Overwrite what the file or device holds"}};
  add_options(command, o);
  command.examples = {
      {"ffbench storage raw /dev/nvme0n1 --rw randread --bs 4K,64K --qd 32", "random reads of a device"},
      {"ffbench storage raw big.file --rw randwrite --force --fsync 1 --qd 1 --json", "synced writes"}};
  command.exit_codes = {{cli::kExitPartial, "some cases were measured, others failed"}};
  command.run = [options, arguments] { return run_raw(*options, arguments); };
  return command;
}

cli::Command path_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "path";
  command.summary = "Load a mounted file system through files of its own";
  command.description =
      "Makes a folder under FOLDER with a file of --size seeded, incompressible bytes for each job, works on these, "
      "and "
      "removes them at the end, also after a failure or Ctrl-C. Nothing else is touched.";
  command.options = {{.names = "folder",
                      .target = &o.target,
                      .help = "Where to work, on any mounted file system",
                      .value_name = "FOLDER",
                      .required = true,
                      .complete = "dir"},
                     {.names = "--keep", .target = &o.keep, .help = "Leave the files there"}};
  add_options(command, o);
  command.examples = {{"ffbench storage path /data --rw randread,randwrite --bs 4K --qd 16", "small random I/O"},
                      {"ffbench storage path /data --rw read --bs 1M --qd 4 --jobs 2 --json", "streams, for a script"}};
  command.exit_codes = {{cli::kExitPartial, "some cases were measured, others failed"}};
  command.run = [options, arguments] { return run_path(*options, arguments); };
  return command;
}

}  // namespace

cli::Command storage_command(const Arguments& arguments) {
  cli::Command command;
  command.name = "storage";
  command.summary = "Measure storage: files, devices and mounted file systems";
  command.description = "Patterns, block sizes and depths as in fio; latencies from submission to completion.";
  command.examples = {{"ffbench storage path /data --rw randread --bs 4K --qd 16", "random reads of a file system"},
                      {"ffbench storage raw /dev/nvme0n1 --rw read --bs 1M", "stream from a device"}};
  command.commands = {raw_command(arguments), path_command(arguments), storage_fio_command(arguments),
                      storage_verify_command(arguments)};
  return command;
}

}  // namespace ff::bench
