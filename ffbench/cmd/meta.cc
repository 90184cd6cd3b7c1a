// `ffbench meta`: how many names a second a file system makes, finds and removes; mdtest's method.
#include <fmt/core.h>

#include <memory>

#include "ffbench/cmd/commands.hpp"
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
  return {
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
}

Result<int> run_meta(const Options& o, const Arguments& arguments) {
  if (o.shift >= o.tasks && o.shift != 0)
    return fail(Errc::kInvalidArgument, fmt::format("--shift: {} is not below the {} tasks", o.shift, o.tasks));
  FF_TRY_ASSIGN(Session session, Session::open("meta", o.measure, arguments));
  FF_TRY_ASSIGN(const std::shared_ptr<MetaWorkload> workload, MetaWorkload::make(o.folder, meta_options(o)));
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
      "touched.";
  command.options = {
      {.names = "folder",
       .target = &o.folder,
       .help = "Where to work, on any mounted file system",
       .value_name = "FOLDER",
       .required = true,
       .complete = "dir"},
      {.names = "-t,--tasks",
       .target = &o.tasks,
       .help = "Tasks that work at the same time, a thread each",
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
  };
  o.measure.count_operations();
  o.measure.add_to(command);
  command.examples = {
      {"ffbench meta /data -t 4 -n 1000", "four tasks in one shared folder"},
      {"ffbench meta /data -t 4 -n 100 -z 2 -b 8 -u -w 4K --json", "own trees, small files, for a script"}};
  command.exit_codes = {{cli::kExitPartial, "some phases were measured, others failed"}};
  command.run = [options, arguments] { return run_meta(*options, arguments); };
  return command;
}

}  // namespace ff::bench
