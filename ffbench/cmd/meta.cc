// `ffbench meta`: how many names a second a file system makes, finds and removes; mdtest's method.
#include <fmt/core.h>

#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/cmd/ffs_options.hpp"
#include "ffbench/ffs/cluster_facts.hpp"
#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/ffs/ffs_names.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/meta/workload.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::string folder = ".";
  std::int64_t tasks = 1, files = 1000, depth = 0, branch = 1, shift = 0, seed = 1;
  bool unique = false, random = false, sync = false;
  cli::ByteSize bytes{0};
  std::int64_t clients = 1;
  FfsOptions ffs;
};

MetaOptions meta_options(const Options& o) {
  return {.shape = {.tasks = o.tasks, .depth = o.depth, .branch = o.branch, .files = o.files, .unique = o.unique},
          .file_bytes = o.bytes.bytes,
          .sync = o.sync,
          .shift = o.shift,
          .random = o.random,
          .seed = static_cast<std::uint64_t>(o.seed)};
}

Row row_of(MetaPhase phase, const Options& o) {
  const std::string_view phase_name = name_of(phase);
  Row row = {
      .name = fmt::format("{} tasks={} files={} depth={} branch={}{}{}", phase_name, o.tasks, o.files, o.depth,
                          o.branch, o.unique ? " unique" : "",
                          o.bytes.bytes > 0 ? fmt::format(" bytes={}", exact_byte_size(o.bytes.bytes)) : ""),
      .parameters = {{"phase", std::string(phase_name)},
                     {"tasks", o.tasks},
                     {"files", o.files},
                     {"depth", o.depth},
                     {"branch", o.branch},
                     {"unique", o.unique},
                     {"bytes", static_cast<std::int64_t>(o.bytes.bytes)},
                     {"sync", o.sync},
                     {"shift", o.shift},
                     {"random", o.random}},
      .metrics = {{.name = "rate",
                   .unit = "1/s",
                   .formula = "operations of all tasks / (end of the last task - begin of the first)"},
                  {.name = "operations", .unit = "", .better = Better::kNeither, .formula = "of all tasks in a round"}},
      .latencies = {Latency{.name = "operation", .histogram = metrics::Histogram()}}};
  if (is_ffs_path(o.folder)) row.parameters.emplace_back("clients", o.clients);
  return row;
}

// A number of clients of the file system that holds the folder; the document says which one it is.
Result<std::unique_ptr<NameSystem>> names_of_ffs(const Options& o, Session& session) {
  FF_TRY_ASSIGN(const ffs::ClusterFile cluster, o.ffs.load());
  FF_TRY_ASSIGN(const ClusterAnswer answer, ask_cluster(cluster, {o.folder}, o.ffs.timeout(), session.stop()));
  if (!answer.paths.front().folder)
    return fail(answer.paths.front().exists ? Errc::kInvalidArgument : Errc::kNotFound,
                fmt::format("{}: {}", o.folder, answer.paths.front().exists ? "is no folder" : "does not exist"));
  note_cluster(session.document(), answer.facts, {});
  FF_TRY_ASSIGN(FfsClients clients, FfsClients::connect(cluster, static_cast<std::size_t>(o.clients), o.ffs.timeout()));
  return ffs_names(std::move(clients));
}

Result<int> run_meta(const Options& o, const Arguments& arguments) {
  if (o.shift >= o.tasks && o.shift != 0)
    return fail(Errc::kInvalidArgument, fmt::format("--shift: {} is not below the {} tasks", o.shift, o.tasks));
  FF_TRY_ASSIGN(Session session, Session::open("meta", o.measure, arguments));
  FF_TRY_ASSIGN(auto names, is_ffs_path(o.folder) ? names_of_ffs(o, session) : local_names());
  FF_TRY_ASSIGN(const std::shared_ptr<MetaWorkload> workload,
                MetaWorkload::make(std::move(names), o.folder, meta_options(o)));
  std::vector<Case> cases;
  // A round of the session goes through the cases in this order, which is that of the phases.
  for (const MetaPhase phase : kMetaPhases)
    cases.push_back(
        {.row = row_of(phase, o), .measure = [workload, phase](std::chrono::nanoseconds, std::stop_token stop) {
           return workload->run(phase, stop);
         }});
  return session.run(std::move(cases));
}

}  // namespace

cli::Command meta_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "meta";
  command.summary = "Measure metadata: make, create, stat, read, list, rename and remove names";
  command.description =
      "Makes a folder of its own under FOLDER and works on a tree of names in it, phase after phase, by mdtest's "
      "method: "
      "all tasks wait for each other between phases, and a rate is the operations of all tasks over the time from the "
      "first begin to the last end. The folder is removed at the end, also after a failure or Ctrl-C; nothing else is "
      "touched. "
      "A task is a thread that makes system calls; with ffs:/PATH, which needs no mount, it is one of the tasks of a "
      "client of libffs, of which there are --clients, a thread each.";
  command.options = {
      {.names = "folder",
       .target = &o.folder,
       .help = "Where to work: on any mounted file system, or ffs:/PATH of a file system of Fire-Flyer",
       .value_name = "FOLDER",
       .required = true,
       .complete = "dir"},
      {.names = "-t,--tasks",
       .target = &o.tasks,
       .help = "Tasks that work at the same time, each with one operation outstanding",
       .min = 1,
       .max = 4096},
      {.names = "-n,--files",
       .target = &o.files,
       .help = "Files of each task in each folder of the tree",
       .min = 1,
       .max = 1e8},
      {.names = "-z,--depth",
       .target = &o.depth,
       .help = "Levels of folders below the root of the tree",
       .min = 0,
       .max = 64},
      {.names = "-b,--branch",
       .target = &o.branch,
       .help = "Folders in each folder of the tree",
       .min = 1,
       .max = 100'000},
      {.names = "-u,--unique", .target = &o.unique, .help = "A tree for each task instead of one for all"},
      {.names = "-w,--bytes",
       .target = &o.bytes,
       .help = "Bytes written to each file when it is created",
       .max = 1ull << 40},
      {.names = "-y,--sync", .target = &o.sync, .help = "fsync each file when it has been created"},
      {.names = "-N,--shift",
       .target = &o.shift,
       .help = "Task t stats and reads the files of task t + N, past its own caches",
       .value_name = "N",
       .min = 0,
       .max = 4095},
      {.names = "-R,--random", .target = &o.random, .help = "Stat and read in an order that depends on --seed"},
      {.names = "--seed", .target = &o.seed, .help = "Of the random order", .min = 0},
      {.names = "--clients",
       .target = &o.clients,
       .help = "Clients that the tasks are shared out to (ffs: paths only)",
       .min = 1,
       .max = 1024},
  };
  o.ffs.add_to(command, " (ffs: paths only)");
  o.measure.count_operations();
  o.measure.add_to(command);
  command.examples = {
      {"ffbench meta /data -t 4 -n 1000", "four tasks in one shared folder"},
      {"ffbench meta ffs:/bench --cluster site.yaml -t 64 -n 100 -u", "64 operations outstanding, without a mount"},
      {"ffbench meta /data -t 4 -n 100 -z 2 -b 8 -u -w 4K --json", "own trees, small files, for a script"}};
  command.exit_codes = {{cli::kExitPartial, "some phases were measured, others failed"}};
  command.run = [options, arguments] { return run_meta(*options, arguments); };
  return command;
}

}  // namespace ff::bench
