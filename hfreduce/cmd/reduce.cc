// `hfreduce reduce`: combines local files element by element, a block of each at a time.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "hfreduce/cmd/array_file.hpp"
#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::hfreduce::cmd {
namespace {

constexpr std::size_t kInputsMax = 4096;  // of cpu::reduce
constexpr std::size_t kBlockMin = 64 * kKiB, kBlockMax = kMiB, kMemory = 64 * kMiB;

struct Options {
  std::string op = "sum";
  std::string type;
  std::vector<std::string> inputs;
  std::string output;
  bool raw = false;
  bool force = false;
};

// All sources must be alike before a byte is combined; what only shows at the end of a pipe is found by combine().
Result<DType> common_type(const std::vector<ArraySource>& sources, std::optional<DType> wanted) {
  const ArraySource& first = sources.front();
  FF_TRY_ASSIGN(const DType type, first.element_type(wanted));
  for (const ArraySource& source : sources) {
    if (source.header().has_value() != first.header().has_value())
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}: {}, but {} is not (--raw reads both as bytes)", source.name(),
                              source.header() ? ".npy" : "raw data", first.name()));
    FF_TRY_ASSIGN(const DType other, source.element_type(wanted));
    if (other != type)
      return fail(Errc::kInvalidArgument, fmt::format("{}: holds {}, but {} holds {}", source.name(), dtype_name(other),
                                                      first.name(), dtype_name(type)));
    if (source.header() && (source.header()->shape != first.header()->shape ||
                            source.header()->fortran_order != first.header()->fortran_order))
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}: another shape or order than {}", source.name(), first.name()));
    if (source.bytes() && first.bytes() && *source.bytes() != *first.bytes())
      return fail(Errc::kInvalidArgument, fmt::format("{}: {} bytes, but {} has {}", source.name(), *source.bytes(),
                                                      first.name(), *first.bytes()));
  }
  return type;
}

Result<> combine(std::vector<ArraySource>& sources, DType type, ReduceOp op, ArraySink& sink) {
  const std::size_t block = std::clamp(kMemory / sources.size(), kBlockMin, kBlockMax) / 64 * 64;
  std::vector<AlignedBuffer> buffers;
  std::vector<const void*> in;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    buffers.emplace_back(block);
    in.push_back(buffers.back().data());
  }
  void* const out = buffers.front().data();
  const std::size_t element = dtype_size(type);
  std::uint64_t done = 0;
  for (;;) {
    FF_TRY_ASSIGN(const std::size_t bytes, sources.front().read(buffers.front().span()));
    for (std::size_t i = 1; i < sources.size(); ++i) {
      FF_TRY_ASSIGN(const std::size_t other, sources[i].read(buffers[i].span()));
      if (other == bytes) continue;
      const bool shorter = other < bytes;
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}: ends after {} bytes, but {} goes on", sources[shorter ? i : 0].name(),
                              done + std::min(bytes, other), sources[shorter ? 0 : i].name()));
    }
    if (bytes % element != 0)
      return fail(Errc::kInvalidArgument, fmt::format("{}: {} bytes are no whole number of {} elements",
                                                      sources.front().name(), done + bytes, dtype_name(type)));
    if (bytes > 0) {
      cpu::reduce({.dtype = type, .op = op, .count = bytes / element, .divisor = sources.size()}, in, {&out, 1});
      FF_TRY(sink.write({buffers.front().data(), bytes}));
    }
    done += bytes;
    if (bytes < block) return {};
  }
}

Result<int> run_reduce(const Options& options) {
  FF_TRY_ASSIGN(const ReduceOp op, parse_op(options.op));
  std::optional<DType> wanted;
  if (!options.type.empty()) {
    FF_TRY_ASSIGN(wanted, parse_dtype(options.type));
  }
  if (options.inputs.size() > kInputsMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("reduce: {} inputs (at most {})", options.inputs.size(), kInputsMax));
  if (std::ranges::count(options.inputs, "-") > 1)
    return fail(Errc::kInvalidArgument, "reduce: standard input can be only one of the inputs");
  std::vector<ArraySource> sources;
  for (const std::string& path : options.inputs) {
    FF_TRY_ASSIGN(ArraySource source, ArraySource::open(path, options.raw));
    sources.push_back(std::move(source));
  }
  FF_TRY_ASSIGN(const DType type, common_type(sources, wanted));
  FF_TRY_ASSIGN(ArraySink sink, ArraySink::create(options.output, options.force));
  if (const auto& header = sources.front().header(); header) {
    const std::string front = npy::format(*header);
    FF_TRY(sink.write(std::as_bytes(std::span(front))));
  }
  FF_TRY(combine(sources, type, op, sink));
  FF_TRY(sink.commit());
  return cli::kExitOk;
}

}  // namespace

cli::Command reduce_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "reduce";
  command.summary = "Combine local files of numbers element by element";
  command.description =
      "Inputs are raw elements or .npy arrays of one shape; pipes work, and memory stays bounded. The elements combine "
      "in "
      "the order in which ranks would (pairwise), so the bits equal those of an allreduce over the same arrays.";
  command.options = {
      {.names = "inputs",
       .target = &o.inputs,
       .help = "Files to combine; - is standard input",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--op",
       .target = &o.op,
       .help = "How elements combine",
       .choices = {"sum", "avg", "min", "max", "prod"}},
      {.names = "-d,--type",
       .target = &o.type,
       .help = "What the elements are: float, bf16, fp8_e4m3, ...; .npy files say it themselves",
       .value_name = "TYPE"},
      {.names = "-o,--output",
       .target = &o.output,
       .help = "File to write; - is standard output",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--raw", .target = &o.raw, .help = "Take inputs as raw elements, whatever they begin with"},
      {.names = "-f,--force", .target = &o.force, .help = "Replace the output if it exists"},
  };
  command.examples = {
      {"hfreduce reduce a.npy b.npy c.npy -o sum.npy", "sum three arrays"},
      {"zcat g.gz | hfreduce reduce --op avg --type bf16 - local.bin -o avg.bin", "average with a pipe"}};
  command.run = [options] { return run_reduce(*options); };
  return command;
}

}  // namespace ff::hfreduce::cmd
