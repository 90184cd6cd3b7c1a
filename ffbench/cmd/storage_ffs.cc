// `ffbench storage ffs`: the loads of `storage path` on a file system of Fire-Flyer, through libffs instead of a mount.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/cmd/ffs_options.hpp"
#include "ffbench/cmd/storage.hpp"
#include "ffbench/cmd/storage_options.hpp"
#include "ffbench/ffs/cluster_facts.hpp"
#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/ffs/ffs_jobs.hpp"
#include "ffbench/measure/load.hpp"
#include "ffbench/storage/target.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

struct Options : StorageOptions {
  std::vector<std::string> paths;
  FfsOptions ffs;
};

Row row_of(const StorageJob& job, const Options& o, std::size_t files) {
  Row row{.name = storage_row_name(job, o.jobs)};
  add_storage_job(row, job, {.jobs = o.jobs, .engine = "ffs", .direct = std::nullopt});
  row.parameters.emplace_back("files", static_cast<std::int64_t>(files));
  row.metrics.push_back({.name = "cpu_client",
                         .unit = "ns/B",
                         .better = Better::kLower,
                         .formula = "processor time of this process / bytes"});
  return row;
}

// Job i works on path i, or all on what there is.
Case case_of(FfsClients& clients, const StorageJob& job, const std::vector<std::string>& paths, const Options& o) {
  auto round = std::make_shared<std::uint64_t>(0);
  return {.row = row_of(job, o, paths.size()),
          .measure = [=, &clients, counted = o.operations > 0](std::chrono::nanoseconds duration,
                                                               std::stop_token stop) -> Result<Reading> {
            std::vector<FfsJob> jobs;
            for (std::size_t i = 0; i < clients.size(); ++i) {
              jobs.push_back({.job = job, .path = paths[i % paths.size()]});
              jobs.back().job.seed = job.seed + (*round)++;
            }
            const std::int64_t cpu_begin = own_cpu_ns();
            FF_TRY_ASSIGN(const StorageReading got,
                          run_ffs_jobs(clients, jobs, counted ? std::chrono::nanoseconds(0) : duration, stop));
            const auto cpu_ns = static_cast<double>(own_cpu_ns() - cpu_begin);
            FF_TRY(check_storage_reading(got));
            Reading reading;
            add_storage_values(reading, job, got);
            reading.values.push_back(cpu_ns / static_cast<double>(got.read.bytes + got.write.bytes));
            return reading;
          }};
}

// --- where

bool writes_any(const std::vector<StorageJob>& jobs) {
  return std::ranges::any_of(jobs, [](const StorageJob& job) { return writes(job.pattern); });
}

Result<> check_existing(const FfsPath& file, const Options& o, bool written) {
  if (o.offset.bytes > file.bytes || o.size.bytes > file.bytes - o.offset.bytes)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: has {} bytes; --offset and --size reach beyond them", file.path, file.bytes));
  if (written && !o.force) return fail(would_overwrite(file.path, file.bytes));
  return {};
}

// --size where it is not given: what all files have, else that of new ones.
std::uint64_t size_of(const std::vector<FfsPath>& paths, const Options& o) {
  if (o.size.bytes > 0) return o.size.bytes;
  std::optional<std::uint64_t> least;
  for (const FfsPath& path : paths) {
    if (!path.exists || path.folder) continue;
    const std::uint64_t bytes = path.bytes > o.offset.bytes ? path.bytes - o.offset.bytes : 0;
    least = std::min(least.value_or(bytes), bytes);
  }
  return least.value_or(kOwnFileBytes);
}

Result<> check_paths(const std::vector<FfsPath>& paths, const Options& o) {
  const bool folder = std::ranges::any_of(paths, &FfsPath::folder);
  if (folder && paths.size() > 1)
    return fail(Errc::kInvalidArgument, "a folder is given alone: each job gets a file of its own in it");
  if (folder && o.offset.bytes > 0)
    return fail(Errc::kInvalidArgument, "--offset: is for files (those made in a folder hold nothing else)");
  if (!folder && paths.size() > static_cast<std::size_t>(o.jobs))
    return fail(Errc::kInvalidArgument,
                fmt::format("{} files for --jobs {}: some would not be used (give more jobs)", paths.size(), o.jobs));
  for (std::size_t i = 0; i < paths.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (paths[i].path == paths[j].path) return fail(Errc::kInvalidArgument, paths[i].path + ": is given twice");
  return {};
}

// The files to work on; those that are made, with data in them, are noted in `remains`.
Result<std::vector<std::string>> prepare(FfsClients& clients, FfsRemains& remains, const std::vector<FfsPath>& paths,
                                         const Options& o, std::stop_token stop) {
  std::vector<std::string> files, made;
  if (paths.front().folder) {
    FF_TRY_ASSIGN(const std::string folder, remains.make_folder(paths.front().path, "ffbench-storage"));
    for (std::int64_t i = 0; i < o.jobs; ++i) files.push_back(fmt::format("{}/job.{}", folder, i));
    made = files;
  } else {
    for (const FfsPath& path : paths) {
      files.push_back(path.path);
      if (!path.exists) made.push_back(path.path);
    }
  }
  for (const std::string& path : made) FF_TRY(remains.make_file(path));
  FF_TRY_CTX(lay_out_ffs(clients, made, o.offset.bytes, o.size.bytes, static_cast<std::uint64_t>(o.seed), stop),
             "lay out");
  return files;
}

// --- the command

Result<std::optional<LayoutFacts>> layout_of(FfsClients& clients, const std::string& path, std::stop_token stop) {
  FF_TRY_ASSIGN(
      const ffs::Attributes attributes,
      clients.call(0, stop, [&] [[clang::coro_wrapper]] (ffs::FileSystem & fs) { return fs.stat(path_inside(path)); }));
  return layout_facts(attributes);
}

Result<int> run_ffs(Options& o, const Arguments& arguments) {
  const std::uint64_t given = o.size.bytes;
  if (given == 0) o.size.bytes = kGiB;  // the largest block: what is wrong is said before anybody is asked
  FF_TRY(storage_jobs(o));
  o.size.bytes = given;
  FF_TRY_ASSIGN(const ffs::ClusterFile cluster, o.ffs.load());
  FF_TRY_ASSIGN(Session session, Session::open("storage ffs", o.measure, arguments));
  FF_TRY_ASSIGN(const ClusterAnswer answer, ask_cluster(cluster, o.paths, o.ffs.timeout(), session.stop()));
  FF_TRY(check_paths(answer.paths, o));
  o.size.bytes = size_of(answer.paths, o);
  FF_TRY_ASSIGN(const auto jobs, storage_jobs(o));
  for (const FfsPath& path : answer.paths)
    if (path.exists && !path.folder) FF_TRY(check_existing(path, o, writes_any(jobs)));

  FF_TRY_ASSIGN(FfsClients clients, FfsClients::connect(cluster, static_cast<std::size_t>(o.jobs), o.ffs.timeout()));
  FfsRemains remains(clients);
  FF_TRY_ASSIGN(const auto files, prepare(clients, remains, answer.paths, o, session.stop()));
  FF_TRY_ASSIGN(const auto layout, layout_of(clients, files.front(), session.stop()));
  note_cluster(session.document(), answer.facts, layout);
  if (o.keep) remains.keep();
  std::vector<Case> cases;
  for (const StorageJob& job : jobs) cases.push_back(case_of(clients, job, files, o));
  return session.run(std::move(cases));
}

}  // namespace

cli::Command storage_ffs_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "ffs";
  command.summary = "Load a file system of Fire-Flyer through libffs, without a mount";
  command.description =
      "PATH is a folder of the file system, where each job gets a file of --size seeded, incompressible bytes in a "
      "folder that is made for them, or one or more files, which the jobs work on in turn; files that do not exist are "
      "made. What was made is removed at the end, also after a failure or Ctrl-C. Patterns that write refuse existing "
      "files without --force. Each job is a client of its own: a thread with its connections, which keeps --qd "
      "requests "
      "outstanding. A write has ended when all replicas hold it durably (in files of at most 8 KiB: at the next sync); "
      "--fsync makes lengths and times durable, too. There is no cache on this side: reads come from the storage "
      "nodes.";
  command.options = {{.names = "path",
                      .target = &o.paths,
                      .help = "Folder, or files, of the file system; ffs:/a is the same as /a",
                      .value_name = "PATH",
                      .required = true},
                     {.names = "--offset", .target = &o.offset, .help = "Begin of the region in each file"},
                     {.names = "--force", .target = &o.force, .help = "Overwrite what existing files hold"},
                     {.names = "--keep", .target = &o.keep, .help = "Leave the files that were made"}};
  o.ffs.add_to(command);
  add_storage_options(command, o);
  o.measure.add_to(command);
  command.examples = {
      {"ffbench storage ffs /bench --cluster site.yaml --rw read,write --bs 1M --qd 16 --jobs 4", "streams"},
      {"ffbench storage ffs /data/big --rw randread --bs 4K --qd 64 --json", "random reads of a file that is there"}};
  command.exit_codes = {{cli::kExitPartial, "some cases were measured, others failed"}};
  command.run = [options, arguments] { return run_ffs(*options, arguments); };
  return command;
}

}  // namespace ff::bench
