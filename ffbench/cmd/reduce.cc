// `ffbench reduce`: HFReduce's reduction kernels against the memory bound of the same run.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/compute/caches.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/reduce_bench.hpp"
#include "ffbench/compute/stream.hpp"
#include "ffbench/measure/session.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::vector<std::string> types;
  std::vector<std::string> inputs;
  std::vector<std::string> sizes;
  std::string op = "sum";
};

struct Plan {
  std::vector<int> cpus;
  std::vector<hfreduce::DType> types;
  std::vector<std::uint64_t> inputs;
  std::vector<std::uint64_t> sizes;
  hfreduce::ReduceOp op = hfreduce::ReduceOp::kSum;
};

constexpr std::uint64_t kCachedBytes = 32 * kKiB;

Result<Plan> plan_of(const Options& o) {
  Plan plan;
  FF_TRY_ASSIGN(plan.cpus, o.measure.processors());
  FF_TRY_ASSIGN(plan.cpus, usable_cpus(plan.cpus));
  FF_TRY_ASSIGN(plan.op, hfreduce::parse_op(o.op));
  for (const std::string& name : o.types) {
    FF_TRY_ASSIGN(const auto type, hfreduce::parse_dtype(name));
    plan.types.push_back(type);
  }
  using enum hfreduce::DType;
  if (plan.types.empty()) plan.types = {kFloat32, kFloat16, kBfloat16, kFloat8E4M3, kFloat8E5M2};
  for (const std::string& word : o.inputs) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number < 1 || number > 64)
      return fail(Errc::kInvalidArgument, fmt::format("--inputs: '{}' is not from 1 to 64", word));
    plan.inputs.push_back(number);
  }
  if (plan.inputs.empty()) plan.inputs = {2, 8};
  for (const std::string& word : o.sizes) {
    const auto bytes = parse_byte_size(word);
    if (!bytes || *bytes < 4096 || *bytes % 64 != 0)
      return fail(Errc::kInvalidArgument,
                  fmt::format("--bytes: '{}' is no size of 4KiB or more in multiples of 64", word));
    plan.sizes.push_back(*bytes);
  }
  if (plan.sizes.empty()) {
    // In a cache, and far out of all of them with the fewest buffers there are: two inputs and an output.
    const std::uint64_t far = 4 * read_caches(plan.cpus).last_level_sum / plan.cpus.size() / 3;
    plan.sizes = {kCachedBytes, (far / (64 * kKiB) + 1) * 64 * kKiB};
  }
  const auto sort_unique = [](auto& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  };
  sort_unique(plan.types);
  sort_unique(plan.inputs);
  sort_unique(plan.sizes);
  return plan;
}

// The plain kernels over as much memory as a case moves, and what they reached in the round that is going on.
struct Bound {
  std::optional<Stream> stream;
  double rate = 0;
};

Case bound_case(const Plan& plan, const std::shared_ptr<ReduceBench>& bench, const std::shared_ptr<Bound>& bound,
                std::uint64_t inputs, std::uint64_t bytes) {
  StreamOptions options;
  options.cpus = plan.cpus;
  options.bytes_per_array = (inputs + 1) * bytes * plan.cpus.size() / 3;
  options.stores = bench->non_temporal(inputs, bytes) ? Stores::kNonTemporal : Stores::kNormal;
  Case c;
  c.row.name = fmt::format("bound inputs={} bytes={}", inputs, exact_byte_size(bytes));
  c.row.parameters = {{"inputs", static_cast<std::int64_t>(inputs)}, {"bytes", static_cast<std::int64_t>(bytes)}};
  c.row.metrics = {
      {"bandwidth",
       "B/s",
       Better::kHigher,
       inputs == 1 ? "rate of copy over the same amount of memory"
                   : "traffic / (3 S / triad + (inputs - 2) S / read), S = bytes of an array, over the same amount",
       {}},
      {"copy", "B/s", Better::kHigher, "as ffbench mem counts", {}},
      {"triad", "B/s", Better::kHigher, "as ffbench mem counts", {}},
      {"read", "B/s", Better::kHigher, "as ffbench mem counts", {}}};
  c.measure = [=](std::chrono::nanoseconds duration, const std::stop_token& stop) -> Result<Reading> {
    if (!bound->stream) {
      FF_TRY_ASSIGN(bound->stream, Stream::open(options));
    }
    PlainRates rates;
    FF_TRY_ASSIGN(rates.copy, bound->stream->measure(StreamKernel::kCopy, duration / 3, stop));
    FF_TRY_ASSIGN(rates.triad, bound->stream->measure(StreamKernel::kTriad, duration / 3, stop));
    FF_TRY_ASSIGN(rates.read, bound->stream->measure(StreamKernel::kRead, duration / 3, stop));
    bound->rate = reduce_bound(inputs, rates);
    return Reading{{bound->rate, rates.copy, rates.triad, rates.read}, {}};
  };
  return c;
}

Case reduce_case(const Plan& plan, const std::shared_ptr<ReduceBench>& bench, const std::shared_ptr<Bound>& bound,
                 const ReduceCase& which) {
  Case c;
  c.row.name = fmt::format("{} {} inputs={} bytes={}", hfreduce::dtype_name(which.dtype), hfreduce::op_name(which.op),
                           which.inputs, exact_byte_size(which.bytes));
  c.row.parameters = {
      {"type", std::string(hfreduce::dtype_name(which.dtype))},
      {"op", std::string(hfreduce::op_name(which.op))},
      {"inputs", static_cast<std::int64_t>(which.inputs)},
      {"bytes", static_cast<std::int64_t>(which.bytes)},
      {"threads", static_cast<std::int64_t>(plan.cpus.size())},
      {"stores", std::string(bench->non_temporal(which.inputs, which.bytes) ? "non-temporal" : "normal")},
      {"instructions", std::string(hfreduce::cpu::isa_name(hfreduce::cpu::best_isa()))}};
  c.row.metrics = {
      {"bandwidth", "B/s", Better::kHigher, "(inputs + 1) x bytes / time, summed over processors", {}},
      {"of_bound", "ratio", Better::kHigher, "bandwidth / bandwidth of the bound row of the same round", {}}};
  c.measure = [=](std::chrono::nanoseconds duration, std::stop_token stop) -> Result<Reading> {
    if (bound->rate <= 0) return fail(Errc::kUnavailable, "the bound was not measured (see its row)");
    FF_TRY_ASSIGN(const double rate, bench->measure(which, duration, std::move(stop)));
    return Reading{{rate, rate / bound->rate}, {}};
  };
  return c;
}

Result<int> run_reduce(const Options& o, const Arguments& arguments) {
  FF_TRY_ASSIGN(const Plan plan, plan_of(o));
  FF_TRY_ASSIGN(Session session, Session::open("reduce", o.measure, arguments));
  FF_TRY_ASSIGN(ReduceBench opened, ReduceBench::open(plan.cpus, plan.inputs.back(), plan.sizes.back()));
  const auto bench = std::make_shared<ReduceBench>(std::move(opened));
  std::vector<Case> cases;
  for (const std::uint64_t bytes : plan.sizes) {
    for (const std::uint64_t inputs : plan.inputs) {
      const auto bound = std::make_shared<Bound>();
      cases.push_back(bound_case(plan, bench, bound, inputs, bytes));
      for (const hfreduce::DType type : plan.types)
        cases.push_back(reduce_case(plan, bench, bound, {type, plan.op, inputs, bytes}));
    }
  }
  return session.run(std::move(cases));
}

}  // namespace

cli::Command reduce_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  o.measure.duration = std::chrono::milliseconds(200);
  o.measure.warmup = std::chrono::milliseconds(50);
  cli::Command command;
  command.name = "reduce";
  command.summary = "Measure HFReduce's reduction of host buffers against the memory bound";
  command.description =
      "Every processor combines its own buffers into one with the kernels that hfreduce uses, by type, number of "
      "inputs and size. The bound is what plain kernels (triad, read, copy) need for the same traffic in the same run, "
      "with the same kind of stores; of_bound is the ratio to it. Every result is compared with the scalar path bit "
      "for "
      "bit; a difference is an error of its row.";
  command.options = {
      {.names = "--type",
       .target = &o.types,
       .help = "Element type: float, half, bfloat16, fp8_e4m3, fp8_e5m2, ...; several times; default: these five",
       .value_name = "TYPE"},
      {.names = "--inputs",
       .target = &o.inputs,
       .help = "Buffers that are combined, 1 to 64; several times; default: 2 and 8",
       .value_name = "N"},
      {.names = "--bytes",
       .target = &o.sizes,
       .help = "Size of each buffer of each processor; several times; default: 32KiB and far out of the caches",
       .value_name = "SIZE"},
      {.names = "--op",
       .target = &o.op,
       .help = "How elements combine",
       .choices = {"sum", "avg", "min", "max", "prod"}},
  };
  o.measure.add_to(command);
  command.examples = {{"ffbench reduce", "five types, 2 and 8 inputs, in the caches and in memory"},
                      {"ffbench reduce --type bfloat16 --inputs 8 --bytes 64MiB", "what a node of eight GPUs does"}};
  command.exit_codes = {{3, "some cases were not measured, or gave wrong results"}};
  command.run = [options, arguments] { return run_reduce(*options, arguments); };
  return command;
}

}  // namespace ff::bench
