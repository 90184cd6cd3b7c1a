// `ffbench mem`: bandwidth (STREAM), latency, and the test of every byte.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/caches.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/latency.hpp"
#include "ffbench/compute/memory_test.hpp"
#include "ffbench/compute/stream.hpp"
#include "ffbench/measure/session.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::vector<std::string> kernels;
  cli::ByteSize bytes;
  std::string stores = "auto";
  std::int64_t threads = 0;
  bool latency = false;
  bool test = false;
  std::int64_t passes = 1;
  std::int64_t walk = 8;
  std::int64_t seed = 1;
  std::string inject;
};

// --cpus, cut to --threads.
Result<std::vector<int>> chosen_cpus(const Options& o) {
  FF_TRY_ASSIGN(std::vector<int> cpus, o.measure.processors());
  FF_TRY_ASSIGN(cpus, usable_cpus(cpus));
  if (static_cast<std::size_t>(o.threads) > cpus.size())
    return fail(Errc::kInvalidArgument, fmt::format("--threads {}: {} processors to use (one thread each; see --cpus)",
                                                    o.threads, cpus.size()));
  if (o.threads > 0) cpus.resize(static_cast<std::size_t>(o.threads));
  return cpus;
}

Result<std::vector<StreamKernel>> chosen_kernels(const std::vector<std::string>& names) {
  std::vector<StreamKernel> kernels;
  for (int i = 0; i < kStreamKernelCount; ++i) {
    const auto kernel = static_cast<StreamKernel>(i);
    if (names.empty() || std::find(names.begin(), names.end(), stream_kernel_name(kernel)) != names.end())
      kernels.push_back(kernel);
  }
  return kernels;
}

Case stream_case(const std::shared_ptr<Stream>& stream, StreamKernel kernel) {
  Case c;
  c.row.name = stream_kernel_name(kernel);
  c.row.parameters = {{"bytes_per_array", static_cast<std::int64_t>(stream->bytes_per_array())},
                      {"arrays", static_cast<std::int64_t>(stream_arrays(kernel))},
                      {"threads", static_cast<std::int64_t>(stream->threads())},
                      {"stores", std::string(stream->non_temporal() ? "non-temporal" : "normal")},
                      {"instructions", std::string(stream->isa())}};
  c.row.metrics = {{"bandwidth",
                    "B/s",
                    Better::kHigher,
                    fmt::format("{} arrays x 8 bytes x elements / time, summed over threads (counted as STREAM does)",
                                stream_arrays(kernel)),
                    {}}};
  c.measure = [stream, kernel](std::chrono::nanoseconds duration, std::stop_token stop) -> Result<Reading> {
    FF_TRY_ASSIGN(const double rate, stream->measure(kernel, duration, std::move(stop)));
    return Reading{{rate}, {}};
  };
  return c;
}

Result<int> run_bandwidth(const Options& o, const Arguments& arguments) {
  StreamOptions options;
  FF_TRY_ASSIGN(options.cpus, chosen_cpus(o));
  FF_TRY_ASSIGN(options.stores, parse_stores(o.stores));
  options.bytes_per_array = o.bytes.bytes;
  FF_TRY_ASSIGN(const auto kernels, chosen_kernels(o.kernels));
  FF_TRY_ASSIGN(Session session, Session::open("mem", o.measure, arguments));
  FF_TRY_ASSIGN(Stream stream, Stream::open(options));
  const auto shared = std::make_shared<Stream>(std::move(stream));
  std::vector<Case> cases;
  for (const StreamKernel kernel : kernels) cases.push_back(stream_case(shared, kernel));
  return session.run(std::move(cases));
}

Result<int> run_latency(const Options& o, const Arguments& arguments) {
  constexpr std::uint64_t kFirst = 8 * kKiB;
  constexpr std::uint64_t kFactor = 4;
  FF_TRY_ASSIGN(const std::vector<int> cpus, chosen_cpus(o));
  const int cpu = cpus.front();
  const std::uint64_t last = o.bytes.bytes > 0 ? o.bytes.bytes : 4 * read_caches({&cpu, 1}).last_level;
  if (last < 128)
    return fail(Errc::kInvalidArgument, fmt::format("--bytes {}: less than two cache lines (give 128 or more)", last));
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t bytes = kFirst; bytes < last; bytes *= kFactor) sizes.push_back(bytes);
  sizes.push_back(last);
  std::vector<Case> cases;
  for (const std::uint64_t bytes : sizes) {
    Case& c = cases.emplace_back();
    c.row.name = fmt::format("latency bytes={}", exact_byte_size(bytes));
    c.row.parameters = {{"bytes", static_cast<std::int64_t>(bytes)}, {"cpu", static_cast<std::int64_t>(cpu)}};
    c.row.metrics = {{"latency", "ns", Better::kLower, "time / dependent loads, over one random cycle of lines", {}}};
    c.measure = [bytes, cpu](std::chrono::nanoseconds duration, std::stop_token stop) -> Result<Reading> {
      FF_TRY_ASSIGN(const double ns, measure_memory_latency(bytes, cpu, duration, std::move(stop)));
      return Reading{{ns}, {}};
    };
  }
  FF_TRY_ASSIGN(Session session, Session::open("mem latency", o.measure, arguments));
  return session.run(std::move(cases));
}

// OFFSET:BIT[:PATTERN]
Result<InjectedFault> parse_injected(const std::string& text) {
  InjectedFault fault;
  const std::size_t first = text.find(':');
  const std::size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  const auto offset = parse_byte_size(text.substr(0, first));
  const std::string bit = first == std::string::npos ? "" : text.substr(first + 1, second - first - 1);
  const auto [end, error] = std::from_chars(bit.data(), bit.data() + bit.size(), fault.bit);
  if (!offset || bit.empty() || error != std::errc() || end != bit.data() + bit.size())
    return fail(Errc::kInvalidArgument,
                fmt::format("--inject-fault: '{}' is no fault (write OFFSET:BIT or OFFSET:BIT:PATTERN)", text));
  fault.offset = *offset;
  if (second != std::string::npos) fault.pattern = text.substr(second + 1);
  return fault;
}

Row test_row(const MemoryTestReport& report, const MemoryTestOptions& options) {
  Row row;
  row.name = "memory test";
  row.parameters = {{"bytes", static_cast<std::int64_t>(report.bytes_tested)},
                    {"passes", static_cast<std::int64_t>(options.passes)},
                    {"seed", static_cast<std::int64_t>(options.seed)},
                    {"threads", static_cast<std::int64_t>(options.cpus.size())},
                    {"locked", report.locked},
                    {"patterns", fmt::format("{}", fmt::join(report.patterns, " "))}};
  row.metrics = {
      {"bytes_tested", "B", Better::kHigher, "", {static_cast<double>(report.bytes_tested)}},
      {"faults", "", Better::kLower, "words found wrong, in each pattern anew", {static_cast<double>(report.faults)}}};
  if (report.complete)
    row.metrics.push_back({"bandwidth",
                           "B/s",
                           Better::kHigher,
                           "bytes written and read / time",
                           {static_cast<double>(report.bytes_moved) / report.seconds}});
  return row;
}

Row fault_row(std::size_t number, const MemoryFault& fault) {
  const auto hex = [](std::uint64_t value) { return fmt::format("{:#018x}", value); };
  Row row;
  row.name = fmt::format("fault {}", number);
  row.parameters = {{"offset", static_cast<std::int64_t>(fault.offset)},
                    {"expected", hex(fault.expected)},
                    {"found", hex(fault.found)},
                    {"flipped", hex(fault.flipped())},
                    {"pattern", fault.pattern},
                    {"kind", std::string(fault_kind_name(fault.kind))}};
  if (fault.page_frame) row.parameters.emplace_back("page_frame", hex(*fault.page_frame));
  if (fault.other) row.parameters.emplace_back("shares_with_offset", static_cast<std::int64_t>(*fault.other));
  row.error = describe_fault(fault);
  return row;
}

Result<int> run_test(const Options& o, const Arguments& arguments) {
  MemoryTestOptions options;
  FF_TRY_ASSIGN(options.cpus, chosen_cpus(o));
  options.bytes = o.bytes.bytes;
  if (options.bytes == 0) {
    FF_TRY_ASSIGN(const std::uint64_t available, available_memory());
    options.bytes = default_test_bytes(available);
  }
  options.passes = static_cast<int>(o.passes);
  options.walk_steps = static_cast<int>(o.walk);
  options.seed = static_cast<std::uint64_t>(o.seed);
  if (!o.inject.empty()) {
    FF_TRY_ASSIGN(options.inject, parse_injected(o.inject));
  }
  FF_TRY_ASSIGN(Session session, Session::open("mem test", o.measure, arguments));
  FF_TRY_ASSIGN(const MemoryTestReport report, test_memory(options, session.stop()));
  Document& document = session.document();
  document.method = {.repeats = o.passes, .cpus = document.method.cpus, .order = "one after another"};
  document.rows.push_back(test_row(report, options));
  for (std::size_t i = 0; i < report.first.size(); ++i) document.rows.push_back(fault_row(i + 1, report.first[i]));
  FieldGroup missing{"not covered", {}};
  for (std::size_t i = 0; i < report.not_covered.size(); ++i) {
    missing.fields.emplace_back(fmt::format("{}", i + 1), report.not_covered[i]);
    document.warnings.push_back("not covered: " + report.not_covered[i]);
  }
  document.machine.push_back(std::move(missing));
  if (report.faults > report.first.size())
    document.warnings.push_back(
        fmt::format("{} faults, of which {} words are listed", report.faults, report.first.size()));
  FF_TRY_ASSIGN(const int code, session.finish());
  return report.faults > 0 && code < 128 ? cli::kExitFailed : code;
}

Result<int> run_mem(const Options& o, const Arguments& arguments) {
  if (o.test && o.latency)
    return fail(Errc::kInvalidArgument, "--test and --latency: two kinds of run (give one of them)");
  if (!o.inject.empty() && !o.test) return fail(Errc::kInvalidArgument, "--inject-fault: needs --test (add it)");
  if (o.test) return run_test(o, arguments);
  return o.latency ? run_latency(o, arguments) : run_bandwidth(o, arguments);
}

}  // namespace

cli::Command mem_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "mem";
  command.summary = "Measure memory bandwidth and latency, or test every byte of memory";
  command.description =
      "Without --latency and --test: the kernels of STREAM (copy, scale, add, triad, counted as 2, 2, 3 and 3 arrays), "
      "reading and writing, one thread bound to each processor, every result checked.\n\n"
      "--latency chases pointers through sizes from 8KiB to four times the last-level cache.\n\n"
      "--test writes and checks addresses, walking ones and zeros, checkerboards, random words, moving inversions and "
      "address lines, with ordinary and non-temporal stores and with the caches flushed before each check. It says "
      "what "
      "it did not cover. Exit code 1 means that memory is broken.";
  command.options = {
      {.names = "--kernel",
       .target = &o.kernels,
       .help = "Measure this kernel only; may be given several times",
       .value_name = "NAME",
       .choices = {"copy", "scale", "add", "triad", "read", "write"}},
      {.names = "--bytes",
       .target = &o.bytes,
       .help = "Size of each array; of the largest cycle with --latency (0: four times the last-level caches); to test "
               "with --test (0: 3/4 of what is available)",
       .max = 1ull << 50},
      {.names = "--stores",
       .target = &o.stores,
       .help = "How results are stored; auto: nt where the arrays do not fit the caches",
       .choices = {"auto", "normal", "nt"}},
      {.names = "--threads",
       .target = &o.threads,
       .help = "Threads, one on each of the first processors; 0: all",
       .value_name = "N",
       .min = 0,
       .max = 4096},
      {.names = "--latency", .target = &o.latency, .help = "Measure latency over sizes instead of bandwidth"},
      {.names = "--test", .target = &o.test, .help = "Test memory instead of measuring it"},
      {.names = "--passes",
       .target = &o.passes,
       .help = "Passes of the test",
       .value_name = "N",
       .min = 1,
       .max = 1'000'000},
      {.names = "--walk",
       .target = &o.walk,
       .help = "Positions of the walking bit that each pass tests, of 64",
       .value_name = "N",
       .min = 1,
       .max = 64},
      {.names = "--seed",
       .target = &o.seed,
       .help = "Seed of the random words of the test",
       .value_name = "N",
       .min = 0},
      {.names = "--inject-fault",
       .target = &o.inject,
       .help = "Flip a bit between writing and checking, to see that the test finds it",
       .value_name = "OFFSET:BIT[:PATTERN]",
       .hidden = true},
  };
  o.measure.add_to(command);
  command.examples = {
      {"ffbench mem", "bandwidth of all processors together"},
      {"ffbench mem --threads 1 --kernel triad --stores normal", "one core, as STREAM counts"},
      {"ffbench mem --latency --cpus 0", "nanoseconds a load in each cache and in memory"},
      {"ffbench mem --test --bytes 4GiB --passes 8", "test 4 GiB with all positions of the walking bit"}};
  command.exit_codes = {{3, "some kernels or sizes were not measured"}};
  command.run = [options, arguments] { return run_mem(*options, arguments); };
  return command;
}

}  // namespace ff::bench
