// `ffbench collective`: the hfreduce suite, run as processes of their own, as one document.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/compute/child_output.hpp"
#include "ffbench/compute/collective_rows.hpp"
#include "ffbench/measure/session.hpp"
#include "hfreduce/run/spawn.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::vector<std::string> collectives;
  std::int64_t ranks = 2;
  cli::ByteSize min{8}, max{16 * kMiB};
  std::int64_t factor = 8;
  std::string hfreduce;
  cli::Duration timeout = std::chrono::minutes(5);
  std::vector<std::string> trailing;
};

const std::vector<std::string> kSuite = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce",
                                         "all_to_all", "gather",         "scatter",    "sendrecv"};

// The one named, or the one beside this program, or in the build folder beside it, or the one in PATH.
Result<std::string> find_hfreduce(const std::string& named) {
  if (!named.empty()) return named;
  FF_TRY_ASSIGN(const std::string self, ff::hfreduce::run::own_executable());
  const std::string folder = parent_folder(self);
  for (const std::string& path : {folder + "/hfreduce", parent_folder(folder) + "/hfreduce/hfreduce"}) {
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::string("hfreduce");
}

std::vector<std::string> command_of(const Options& o, const std::string& hfreduce, const std::string& collective) {
  std::vector<std::string> command = {hfreduce,       "perf",
                                      "--collective", collective,
                                      "--ranks",      std::to_string(o.ranks),
                                      "--minbytes",   std::to_string(o.min.bytes),
                                      "--maxbytes",   std::to_string(o.max.bytes),
                                      "--stepfactor", std::to_string(o.factor)};
  command.insert(command.end(), o.trailing.begin(), o.trailing.end());
  command.emplace_back("--json");
  return command;
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

// One process of one collective.
Result<CollectiveReading> measure(const Options& o, const std::string& hfreduce, const std::string& collective,
                                  const std::stop_token& stop) {
  FF_TRY_ASSIGN(const ChildOutput child, run_child(command_of(o, hfreduce, collective), o.timeout, stop));
  auto reading = read_collective_report(child.out);
  // It also fails when results are wrong, and then its report says which.
  if (child.exit_code != 0 && (!reading || reading->wrong == 0)) {
    const std::string why = last_line(child.errors);
    const std::string how = child.exit_code > 128
                                ? fmt::format("killed by {}", ff::hfreduce::run::signal_name(child.exit_code - 128))
                                : fmt::format("exit code {}", child.exit_code);
    return fail(Errc::kUnavailable,
                fmt::format("hfreduce perf --collective {}: {}{}{}", collective, how, why.empty() ? "" : ": ", why));
  }
  return reading;
}

Row failed_row(const std::string& collective, const Error& error) {
  Row row;
  row.name = collective;
  row.parameters = {{"collective", collective}};
  row.error = error.message();
  return row;
}

Result<int> run_collective(const Options& o, const Arguments& arguments) {
  if (o.min.bytes > o.max.bytes)
    return fail(Errc::kInvalidArgument, fmt::format("--min-bytes {}: above --max-bytes {}",
                                                    format_byte_size(o.min.bytes), format_byte_size(o.max.bytes)));
  FF_TRY_ASSIGN(const std::string hfreduce, find_hfreduce(o.hfreduce));
  FF_TRY_ASSIGN(Session session, Session::open("collective", o.measure, arguments));
  Document& document = session.document();
  std::uint64_t wrong = 0;
  // A collective that failed is not tried again; the others go on.
  std::vector<std::string> left = o.collectives.empty() ? kSuite : o.collectives;
  std::vector<Row> failed;
  for (std::int64_t round = 0; round < o.measure.repeat; ++round) {
    for (auto collective = left.begin(); collective != left.end() && !session.stop().stop_requested();) {
      auto reading = measure(o, hfreduce, *collective, session.stop());
      if (!reading && session.stop().stop_requested()) break;
      if (!reading && reading.error().code() == Errc::kNotFound)
        return fail(Errc::kNotFound, fmt::format("{} (name it with --hfreduce)", reading.error().message()));
      if (!reading) {
        failed.push_back(failed_row(*collective, reading.error()));
        collective = left.erase(collective);
        continue;
      }
      wrong += reading->wrong;
      merge_rows(document.rows, std::move(reading->rows));
      ++collective;
    }
  }
  for (Row& row : failed) document.rows.push_back(std::move(row));
  for (Row& row : document.rows) {
    if (row.metrics.empty() || row.metrics.back().name != "wrong") continue;
    if (const double most = *std::max_element(row.metrics.back().samples.begin(), row.metrics.back().samples.end());
        most > 0)
      row.error = fmt::format("{} elements differ from the expected result", most);
  }
  FF_TRY_ASSIGN(const int code, session.finish());
  return wrong > 0 && code < 128 ? cli::kExitFailed : code;
}

}  // namespace

cli::Command collective_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  o.measure.repeat = 3;
  o.measure.count_operations();
  cli::Command command;
  command.name = "collective";
  command.summary = "Measure the collectives of hfreduce and check their results";
  command.description =
      "Runs `hfreduce perf --json` once for each collective and round, each as processes of their own, and makes one "
      "document of their reports: time, algorithm and bus bandwidth as nccl-tests define them, and wrong elements. "
      "What "
      "follows -- goes to hfreduce perf. Exit code 1 means wrong results, or that nothing was measured.";
  command.options = {
      {.names = "--collective",
       .target = &o.collectives,
       .help = "Measure this one only; may be given several times",
       .value_name = "NAME",
       .choices = kSuite},
      {.names = "--ranks", .target = &o.ranks, .help = "Ranks to start here", .value_name = "N", .min = 2, .max = 4096},
      {.names = "--min-bytes", .target = &o.min, .help = "Smallest message", .min = 1, .max = 1ull << 40},
      {.names = "--max-bytes", .target = &o.max, .help = "Largest message", .min = 1, .max = 1ull << 40},
      {.names = "--factor",
       .target = &o.factor,
       .help = "Factor between sizes",
       .value_name = "N",
       .min = 2,
       .max = 1 << 20},
      {.names = "--hfreduce",
       .target = &o.hfreduce,
       .help = "The program; otherwise the one beside this one, or in PATH",
       .value_name = "PATH",
       .complete = "file"},
      {.names = "--timeout",
       .target = &o.timeout,
       .help = "Limit of each process; then it is ended and its collective fails",
       .min = 0.1,
       .max = 86'400},
  };
  o.measure.add_to(command);
  command.trailing = &o.trailing;
  command.trailing_name = "PERF-OPTION…";
  command.examples = {{"ffbench collective --ranks 4", "the whole suite between four processes here"},
                      {"ffbench collective --collective all_reduce --repeat 10 --json", "one, ten times, for compare"},
                      {"ffbench collective -- --transport tcp -d bfloat16", "with options of hfreduce perf"}};
  command.exit_codes = {{3, "some collectives failed"}};
  command.run = [options, arguments] { return run_collective(*options, arguments); };
  return command;
}

}  // namespace ff::bench
