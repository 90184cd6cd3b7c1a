// `ffbench storage`: load on files, devices and mounted file systems.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/cmd/storage.hpp"
#include "ffbench/cmd/storage_options.hpp"
#include "ffbench/storage/run.hpp"
#include "ffbench/storage/target.hpp"

namespace ff::bench {
namespace {

struct Options : StorageOptions {
  std::string target, engine = "uring";
  bool buffered = false;
};

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
  return storage_jobs(o);
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
  if (o.size.bytes == 0) o.size.bytes = kOwnFileBytes;
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
  add_storage_options(command, o);
  const std::vector<cli::Option> local = {
      {.names = "--engine",
       .target = &o.engine,
       .help = "io_uring with registered buffers, or blocking calls",
       .choices = {"uring", "psync"}},
      {.names = "--buffered",
       .target = &o.buffered,
       .help = "Through the page cache instead of O_DIRECT; it is emptied before each round of reads"},
  };
  command.options.insert(command.options.end(), local.begin(), local.end());
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
  command.summary = "Measure storage: files, devices, mounted file systems and FFS without a mount";
  command.description = "Patterns, block sizes and depths as in fio; latencies from submission to completion.";
  command.examples = {{"ffbench storage path /data --rw randread --bs 4K --qd 16", "random reads of a file system"},
                      {"ffbench storage raw /dev/nvme0n1 --rw read --bs 1M", "stream from a device"}};
  command.commands = {raw_command(arguments), path_command(arguments), storage_ffs_command(arguments),
                      storage_fio_command(arguments), storage_verify_command(arguments)};
  return command;
}

}  // namespace ff::bench
