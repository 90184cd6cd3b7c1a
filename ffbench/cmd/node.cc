// `ffbench node`: is this node fit for a job?
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/measure/signals.hpp"
#include "ffbench/node/checks.hpp"
#include "ffbench/node/fleet.hpp"
#include "ffbench/node/profile.hpp"
#include "ffbench/node/validator.hpp"
#include "ffbench/result/output_file.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/cli/progress.hpp"

namespace ff::bench {
namespace {

using report::Cell;
using report::Table;

struct Options {
  std::vector<std::string> results, only, without;
  std::string level = "quick", folder, profile, learn, link_speed;
  std::string root, gpu_libraries, hfreduce, inject_gemm, inject_memory;
  bool fleet = false, list = false, force = false;
  cli::Duration timeout{0}, log_window = std::chrono::hours(24);
  cli::ByteSize memory{0};
  cli::ProgressOption progress;
  cli::OutputOptions output{"table", {"table", "wide", "json", "jsonl", "name", "csv"}};
};

constexpr auto kTimeoutQuick = std::chrono::minutes(5);
constexpr auto kTimeoutFull = std::chrono::hours(6);

Result<> print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail(errno_error("standard output"));
  return {};
}

// "200Gb/s", "25G"; plain numbers are bits a second.
Result<std::optional<double>> link_speed(const std::string& text) {
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string unit(end, text.data() + text.size());
  double factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "M" || unit == "Mb/s" || unit == "Mbit/s") factor = 1e6;
  if (unit == "G" || unit == "Gb/s" || unit == "Gbit/s") factor = 1e9;
  if (error != std::errc() || factor == 0 || !(value > 0))
    return fail(Errc::kInvalidArgument, fmt::format("--link-speed: '{}' is no rate (write 200Gb/s)", text));
  return value * factor;
}

// "ROW,COLUMN,BIT" of a wrong result, "OFFSET,BIT" of a flipped bit in memory: what the tests inject.
Result<std::vector<std::int64_t>> injection(const std::string& option, const std::string& text, std::size_t count) {
  std::vector<std::int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) break;
    numbers.push_back(number);
    at = next < end && *next == ',' ? next + 1 : next;
    if (at == next) break;
  }
  if (at != end || numbers.size() != count)
    return fail(Errc::kInvalidArgument, fmt::format("{}: '{}' is not {} numbers with commas", option, text, count));
  return numbers;
}

std::string default_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder == '/' ? folder : "/tmp";
}

Result<NodeContext> context_of(const Options& o) {
  NodeContext context;
  context.root = o.root;
  context.level = o.level == "full" ? Level::kFull : Level::kQuick;
  context.folder = o.folder.empty() ? default_folder() : o.folder;
  context.gpu_libraries = o.gpu_libraries;
  context.hfreduce = o.hfreduce;
  context.log_window = o.log_window;
  context.probe_storage = probe_storage;
  FF_TRY_ASSIGN(context.link_bits_per_second, link_speed(o.link_speed));
  if (o.memory.bytes > 0) context.memory_bytes = o.memory.bytes;
  if (!o.inject_gemm.empty()) {
    FF_TRY_ASSIGN(const auto n, injection("--inject-gemm", o.inject_gemm, 3));
    context.inject_gemm = GemmInjection{.row = n[0], .column = n[1], .bit = static_cast<int>(n[2])};
  }
  if (!o.inject_memory.empty()) {
    FF_TRY_ASSIGN(const auto n, injection("--inject-memory", o.inject_memory, 2));
    context.inject_memory = InjectedFault{.offset = static_cast<std::uint64_t>(n[0]), .bit = static_cast<int>(n[1])};
  }
  return context;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Result<int> validate(Options& o, report::Format format) {
  FF_TRY_ASSIGN(const auto checks, select_checks(all_checks(), o.only, o.without));
  FF_TRY_ASSIGN(const NodeContext context, context_of(o));
  Profile profile;
  if (!o.profile.empty()) {
    FF_TRY_ASSIGN(profile, read_profile(o.profile));
    if (!profile.level.empty() && profile.level != o.level)
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}: was learned at level {} (judge with --level {}, or learn another)", o.profile,
                              profile.level, profile.level));
  }
  FF_TRY_ASSIGN(const auto signals, StopOnSignal::install());
  const auto start = std::chrono::steady_clock::now();
  NodeReport node{.host = host_name(),
                  .level = o.level,
                  .version = cli::build_version(),
                  .started = now_text(),
                  .elapsed_ns = 0,
                  .checks = {}};
  ValidatorOptions options;
  options.timeout = o.timeout.count() > 0 ? o.timeout
                    : context.full()      ? cli::Duration(kTimeoutFull)
                                          : cli::Duration(kTimeoutQuick);
  if (o.progress.enabled())
    options.before = [](const Check& check) { fmt::print(stderr, "{}: {}\n", check.name, check.what); };
  node.checks = run_checks(checks, context, options, signals->token());
  if (!o.profile.empty()) {
    std::set<std::string> ran;
    for (const Check& check : checks) ran.insert(check.name);
    judge_by_profile(node.checks, profile, ran);
  }
  node.elapsed_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
  FF_TRY(print(render_node_report(node, format)));
  return signals->signal() != 0 ? 128 + signals->signal() : fitness_exit_code(node.fitness());
}

Result<std::vector<NodeReport>> read_results(const std::vector<std::string>& files) {
  std::vector<NodeReport> all;
  for (const std::string& file : files) {
    FF_TRY_ASSIGN(auto some, read_node_reports(file));
    for (NodeReport& node : some) all.push_back(std::move(node));
  }
  return all;
}

Result<int> learn(const Options& o) {
  const auto writable = check_output_path(o.learn, o.force);
  if (!writable && writable.error().code() == Errc::kAlreadyExists)
    return fail(Errc::kAlreadyExists, o.learn + ": exists (choose another name, or replace it with --force)");
  FF_TRY(writable);
  FF_TRY_ASSIGN(const auto results, read_results(o.results));
  FF_TRY_ASSIGN(const Profile profile, learn_profile(results));
  FF_TRY(write_output_file(o.learn, profile_text(profile), o.force));
  fmt::print(stderr, "{}: {} values of {} nodes\n", o.learn, profile.metrics.size(), profile.nodes);
  return cli::kExitOk;
}

Result<int> compare(const Options& o, report::Format format) {
  FF_TRY_ASSIGN(const auto results, read_results(o.results));
  const FleetView view = compare_fleet(results);
  Table table("ff.node_fleet/1",
              {{.key = "host", .title = "HOST"},
               {.key = "id", .title = "CHECK"},
               {.key = "value", .title = "VALUE"},
               {.key = "unit", .title = "UNIT"},
               {.key = "median", .title = "MEDIAN"},
               {.key = "worse_percent", .title = "WORSE", .unit = report::Unit::kPercent, .decimals = 1},
               {.key = "score", .title = "SCORE"},
               {.key = "remark", .title = "REMARK"}});
  table.set_header("nodes", static_cast<std::int64_t>(view.nodes));
  table.set_header("compared", static_cast<std::int64_t>(view.compared));
  for (const FleetOutlier& f : view.outliers) {
    const bool judged = f.remark.empty();
    table.add_row({f.host, f.id, f.value ? Cell(*f.value) : Cell(), f.unit, judged ? Cell(f.median) : Cell(),
                   judged ? Cell(f.worse_percent) : Cell(), judged ? Cell(f.score) : Cell(),
                   judged ? Cell() : Cell(f.remark)});
  }
  FF_TRY(print(table.render(format)));
  return view.outliers.empty() ? cli::kExitOk : kExitWarn;
}

Result<int> list_checks(report::Format format) {
  Table table("ff.node_checks/1", {{.key = "check", .title = "CHECK"},
                                   {.key = "what", .title = "WHAT IT LOOKS AT"},
                                   {.key = "deadline_quick_ns", .title = "QUICK", .unit = report::Unit::kNanoseconds},
                                   {.key = "deadline_full_ns", .title = "FULL", .unit = report::Unit::kNanoseconds}});
  for (const Check& check : all_checks())
    table.add_row({check.name, check.what, static_cast<std::int64_t>(check.deadline_quick.count()),
                   static_cast<std::int64_t>(check.deadline_full.count())});
  FF_TRY(print(table.render(format)));
  return cli::kExitOk;
}

Result<int> run_node(Options& o) {
  FF_TRY_ASSIGN(const report::Format format, o.output.format());
  if (o.list) return list_checks(format);
  if (!o.learn.empty() && o.fleet)
    return fail(Errc::kInvalidArgument, "--learn and --fleet: are two different things (give one)");
  const bool reads = !o.learn.empty() || o.fleet;
  if (reads && o.results.empty())
    return fail(Errc::kInvalidArgument, "no result was given (name files with the output of ffbench node --json)");
  if (!reads && !o.results.empty())
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}': results are read by --learn and --fleet alone", o.results.front()));
  return !o.learn.empty() ? learn(o) : o.fleet ? compare(o, format) : validate(o, format);
}

}  // namespace

cli::Command node_command(const Arguments&) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "node";
  command.summary = "Judge whether this node is fit for a job";
  command.description =
      "Runs checks of clocks, links, main memory, processors, GPUs, storage and network, each in a process of its own "
      "with a deadline, so that what hangs or crashes is a failed check and no hung validator. What is wrong (a wrong "
      "sum, a link that is down) fails by itself; what is slow is judged against a profile that --learn makes from "
      "results of good nodes: worse than their median by 4 robust deviations and by 5% warns, by 15% fails. A check "
      "that cannot run here is skipped, with the reason, and does not weigh. quick takes half a minute, full tests "
      "nearly all memory and takes minutes to hours. GPU checks go through libnvidia-ml, libcuda and libcublas where "
      "they are installed.";
  auto* o = options.get();
  command.options = {
      {.names = "result",
       .target = &o->results,
       .help = "results of 'ffbench node --json', for --learn and --fleet; '-' is standard input",
       .value_name = "RESULT",
       .complete = "file"},
      {.names = "--level",
       .target = &o->level,
       .help = "how thorough",
       .value_name = "LEVEL",
       .choices = {"quick", "full"}},
      {.names = "--only", .target = &o->only, .help = "run this check alone (repeatable)", .value_name = "CHECK"},
      {.names = "--without", .target = &o->without, .help = "leave this check out (repeatable)", .value_name = "CHECK"},
      {.names = "--list", .target = &o->list, .help = "list the checks with their deadlines"},
      {.names = "--timeout", .target = &o->timeout, .help = "for all checks together; 0: 5m for quick, 6h for full"},
      {.names = "--folder",
       .target = &o->folder,
       .help = "storage to test (default $TMPDIR or /tmp)",
       .value_name = "DIR",
       .complete = "dir"},
      {.names = "--memory",
       .target = &o->memory,
       .help = "main memory to test; 0: 256MiB for quick, 3/4 of what is free for full"},
      {.names = "--link-speed",
       .target = &o->link_speed,
       .help = "what every network link must have, as 200Gb/s (default: the fastest of its kind here)",
       .value_name = "RATE"},
      {.names = "--log-window", .target = &o->log_window, .help = "how far back faults in the kernel's log count"},
      {.names = "--profile",
       .target = &o->profile,
       .help = "judge values against this profile of good nodes",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--learn",
       .target = &o->learn,
       .help = "make this profile from the results of three or more good nodes",
       .value_name = "PROFILE",
       .complete = "file"},
      {.names = "--force", .target = &o->force, .help = "let --learn replace an existing profile"},
      {.names = "--fleet",
       .target = &o->fleet,
       .help =
           "name the nodes among the results that are worse than the others, or lack a value that most of them have"},
      {.names = "--root",
       .target = &o->root,
       .help = "read sys, proc and dev below this folder",
       .value_name = "DIR",
       .hidden = true},
      {.names = "--gpu-libraries",
       .target = &o->gpu_libraries,
       .help = "load the GPU libraries from this folder",
       .value_name = "DIR",
       .hidden = true},
      {.names = "--hfreduce",
       .target = &o->hfreduce,
       .help = "the hfreduce to run",
       .value_name = "FILE",
       .hidden = true},
      {.names = "--inject-gemm",
       .target = &o->inject_gemm,
       .help = "flip a bit of a product",
       .value_name = "ROW,COLUMN,BIT",
       .hidden = true},
      {.names = "--inject-memory",
       .target = &o->inject_memory,
       .help = "flip a bit of memory",
       .value_name = "OFFSET,BIT",
       .hidden = true}};
  options->progress.add_to(command);
  options->output.add_to(command);
  command.examples = {
      {"ffbench node", "half a minute: is this node fit?"},
      {"ffbench node --level full --json > $(hostname).json", "a full check, for a profile or the records"},
      {"ffbench node --learn node-profile.json good1.json good2.json good3.json", "what good nodes measure"},
      {"ffbench node --profile node-profile.json -o name",
       "print the checks that failed, as a scheduler would call it"},
      {"ffbench node --fleet results/*.json", "which of many nodes is not like the others?"}};
  command.exit_codes = {{kExitWarn, "fit, with warnings; for --fleet: some nodes are worse than the others"},
                        {kExitDrain, "drain the node: a check failed"},
                        {130, "stopped by Ctrl-C (143: by SIGTERM); the checks done were printed"}};
  command.run = [options] { return run_node(*options); };
  return command;
}

}  // namespace ff::bench
