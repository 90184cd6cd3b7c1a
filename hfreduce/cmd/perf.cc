// `hfreduce perf`: the benchmark, with nccl-tests' flags and columns.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cmd/perf_report.hpp"
#include "hfreduce/cmd/self_launch.hpp"
#include "hfreduce/run/start_spec.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"

namespace ff::hfreduce::cmd {
namespace {

constexpr int kBatches = 5;

struct Options {
  std::string collective = "all_reduce";
  cli::ByteSize min{8}, max{64 * kMiB}, step{0};
  std::int64_t factor = 2;
  std::int64_t iters = 20, warmup = 1, check = 1;
  std::string dtype = "float", op = "sum";
  std::int64_t root = 0, ranks = 0;
  std::string buffers = "window", transport = "auto", algorithm = "auto";
  std::string format = "table", trace;
  bool json = false;
  cli::Duration timeout = std::chrono::seconds(60);
};

struct Request {
  PerfPlan plan;
  std::vector<std::uint64_t> sizes;
  Config config;
  report::Format format = report::Format::kTable;
  bool as_text = true;
};

// Everything that can be checked before ranks exist.
Result<Request> request_of(const Options& o) {
  Request r;
  FF_TRY_ASSIGN(r.plan.kind, parse_perf_collective(o.collective));
  FF_TRY_ASSIGN(r.plan.dtype, parse_dtype(o.dtype));
  FF_TRY_ASSIGN(r.plan.op, parse_op(o.op));
  r.plan.root = static_cast<int>(o.root);
  r.plan.batches = kBatches;
  r.plan.iters_per_batch = static_cast<int>((o.iters + kBatches - 1) / kBatches);
  r.plan.warmup_iters = static_cast<int>(o.warmup);
  r.plan.check_iters = static_cast<int>(o.check);
  const std::uint64_t last = std::max(o.min.bytes, o.max.bytes);  // -b alone, beyond -e's default, means one size
  r.sizes = perf_sizes(o.min.bytes, last, static_cast<std::uint64_t>(o.factor), o.step.bytes);
  FF_TRY_ASSIGN(r.config, Config::from_environment());
  r.config.timeout = o.timeout;
  if (o.transport != "auto") {
    FF_TRY_ASSIGN(r.config.transport, parse_transport(o.transport));
  }
  if (o.algorithm != "auto") {
    FF_TRY_ASSIGN(r.config.algorithm, parse_net_algorithm(o.algorithm));
  }
  r.config.trace = !o.trace.empty();
  if (o.json && o.format != "table" && o.format != "json")
    return fail(Errc::kInvalidArgument, fmt::format("perf: --json and --output {} contradict each other", o.format));
  FF_TRY_ASSIGN(r.format, report::parse_format(o.json ? "json" : o.format));
  r.as_text = r.format == report::Format::kTable;
  return r;
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// All ranks' events travel to rank 0, which writes one file.
Result<> write_trace(Communicator& comm, const std::string& path) {
  std::string mine = comm.trace() != nullptr ? comm.trace()->events_json(comm.rank()) : std::string();
  const auto bytes = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(comm.size()));
  FF_TRY(comm.all_gather(&bytes, sizes.data(), 1, DType::kInt64));
  if (comm.rank() != 0) return bytes > 0 ? comm.send(mine.data(), mine.size(), DType::kUint8, 0) : Result<>();
  std::vector<std::string> items;
  if (!mine.empty()) items.push_back(std::move(mine));
  for (int rank = 1; rank < comm.size(); ++rank) {
    std::string theirs(static_cast<std::size_t>(sizes[static_cast<std::size_t>(rank)]), '\0');
    if (theirs.empty()) continue;
    FF_TRY(comm.recv(theirs.data(), theirs.size(), DType::kUint8, rank));
    items.push_back(std::move(theirs));
  }
  return write_file_atomic(path, Trace::file_json(items));
}

Result<int> measure(const Options& options, const Request& request) {
  FF_TRY_ASSIGN(const std::unique_ptr<Communicator> comm, Communicator::from_environment(request.config));
  if (request.plan.root >= comm->size())
    return fail(Errc::kInvalidArgument,
                fmt::format("perf: --root {}: there are {} ranks", request.plan.root, comm->size()));
  PerfHeader header;
  header.plan = request.plan;
  header.bytes_min = request.sizes.front();
  header.bytes_max = request.sizes.back();
  header.step_factor = static_cast<std::uint64_t>(options.factor);
  header.step_bytes = options.step.bytes;
  header.buffers = options.buffers;
  header.transport = options.transport;
  header.algorithm = options.algorithm;
  header.machine = machine::read_machine("");
  header.ranks = comm->ranks();
  const bool speaks = comm->rank() == 0;
  if (speaks && request.as_text) print(perf_text_header(header));
  FF_TRY_ASSIGN(PerfRunner runner,
                PerfRunner::create(*comm, request.plan, request.sizes.back(), options.buffers == "window"));
  std::vector<PerfRow> rows;
  for (const std::uint64_t bytes : request.sizes) {
    PerfRow row;
    row.c = perf_case(request.plan.kind, comm->size(), request.plan.dtype, bytes);
    if (!rows.empty() && rows.back().c.size == row.c.size) continue;  // too small to differ between so many ranks
    FF_TRY_ASSIGN(row.out_of_place, runner.measure(row.c, false));
    if (row.c.can_be_in_place) {
      FF_TRY_ASSIGN(row.in_place, runner.measure(row.c, true));
    }
    rows.push_back(row);
    if (speaks && request.as_text) print(perf_text_row(header, row));
  }
  if (!options.trace.empty()) FF_TRY_CTX(write_trace(*comm, options.trace), "trace");
  if (speaks) print(request.as_text ? perf_text_footer(rows) : perf_table(header, rows).render(request.format));
  FF_TRY(comm->barrier());  // nobody leaves while others still wait for a last message
  // Every rank knows the sum, but one voice is enough for a failed run.
  return total_wrong(rows) == 0 ? cli::kExitOk : cli::kExitFailed;
}

Result<int> run_perf(const Options& options, const Arguments& arguments) {
  FF_TRY_ASSIGN(const Request request, request_of(options));
  const int ranks = static_cast<int>(options.ranks);
  if (!under_launcher()) return self_launch(arguments, ranks > 0 ? ranks : default_ranks());
  FF_TRY(check_ranks(ranks));
  return measure(options, request);
}

}  // namespace

cli::Command perf_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "perf";
  command.summary = "Measure collectives: time, algbw, busbw and wrong results over sizes";
  command.description =
      "Flags, columns and the meaning of algbw and busbw are those of nccl-tests. Without a launcher it starts ranks "
      "on "
      "this machine itself. Sizes are those of the whole message; for the collectives that cut it into parts, of all "
      "parts.";
  command.options = {
      {.names = "--collective", .target = &o.collective, .help = "What to measure", .choices = perf_collective_names()},
      {.names = "-b,--minbytes", .target = &o.min, .help = "Smallest size", .min = 1, .max = 1ull << 40},
      {.names = "-e,--maxbytes", .target = &o.max, .help = "Largest size", .min = 1, .max = 1ull << 40},
      {.names = "-f,--stepfactor", .target = &o.factor, .help = "Factor between sizes", .min = 2, .max = 1 << 20},
      {.names = "-i,--stepbytes", .target = &o.step, .help = "Difference between sizes instead of a factor; 0: factor"},
      {.names = "-n,--iters",
       .target = &o.iters,
       .help = "Timed calls for each size, in five batches; more of them up to 256 KiB",
       .min = 1,
       .max = 1e8},
      {.names = "-w,--warmup-iters,--warmup_iters",
       .target = &o.warmup,
       .help = "Calls before timing",
       .min = 0,
       .max = 1e9},
      {.names = "-c,--check",
       .target = &o.check,
       .help = "Checked calls for each size, apart from timing; 0: none",
       .min = 0,
       .max = 1e6},
      {.names = "-d,--datatype",
       .target = &o.dtype,
       .help = "Type of the elements: float, half, bfloat16, fp8_e4m3, ...",
       .value_name = "TYPE"},
      {.names = "-o,--op",
       .target = &o.op,
       .help = "How elements combine",
       .choices = {"sum", "avg", "min", "max", "prod"}},
      {.names = "-r,--root",
       .target = &o.root,
       .help = "Root rank, where there is one",
       .value_name = "RANK",
       .min = 0,
       .max = run::kRanksMax},
      {.names = "--ranks",
       .target = &o.ranks,
       .help = "Ranks to start here; 0: one a core, 2 to 8",
       .value_name = "N",
       .min = 0,
       .max = 4096},
      {.names = "--buffers",
       .target = &o.buffers,
       .help = "Memory of the data: shared windows or any",
       .choices = {"window", "ordinary"}},
      {.names = "--transport", .target = &o.transport, .help = "How ranks meet", .choices = {"auto", "shm", "tcp"}},
      {.names = "--algo",
       .target = &o.algorithm,
       .help = "Algorithm between hosts",
       .choices = {"auto", "flat", "rd", "direct", "tree", "ring"}},
      {.names = "--trace",
       .target = &o.trace,
       .help = "Write all ranks' stages as a Chrome/Perfetto trace",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "-T,--timeout",
       .target = &o.timeout,
       .help = "Limit of each call",
       .min = 1e-9,
       .environment = "HFR_TIMEOUT"},
      {.names = "--output",
       .target = &o.format,
       .help = "Form of the report; table is nccl-tests' layout",
       .choices = report::format_names()},
      {.names = "--json", .target = &o.json, .help = "The same as --output json"},
  };
  command.examples = {{"hfreduce perf --ranks 2 -b 8 -e 128M -f 2", "allreduce, two ranks here"},
                      {"hfreduce perf --collective all_gather -d bfloat16 --ranks 4 --json", "for a script"},
                      {"hfreduce run --hosts a:8,b:8 -- hfreduce perf -b 1M -e 1G", "between hosts"}};
  command.run = [options, arguments] { return run_perf(*options, arguments); };
  return command;
}

}  // namespace ff::hfreduce::cmd
