// `hfreduce explain`: how a call would run. With --shape only the trees are shown, and no rank is started.
#include <fmt/core.h>

#include <cstdio>
#include <memory>

#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cmd/perf_case.hpp"
#include "hfreduce/cmd/self_launch.hpp"
#include "hfreduce/cmd/tree_text.hpp"
#include "hfreduce/communicator.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::hfreduce::cmd {
namespace {

struct Options {
  cli::ByteSize size{64 * kMiB};
  std::string collective = "all_reduce", type = "float", shape, transport = "auto";
  std::int64_t ranks = 0;
  cli::OutputOptions output{"table", {"table", "json"}};
};

void print(std::string text) {
  if (!text.ends_with('\n')) text += '\n';
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Result<int> run_explain(const Options& options, const Arguments& arguments) {
  FF_TRY_ASSIGN(const report::Format format, options.output.format());
  const bool json = format == report::Format::kJson;
  FF_TRY_ASSIGN(const Collective kind, parse_perf_collective(options.collective));
  FF_TRY_ASSIGN(const DType dtype, parse_dtype(options.type));
  if (!options.shape.empty()) {
    FF_TRY_ASSIGN(const Shape shape, parse_shape(options.shape));
    print(json ? trees_json(shape) : trees_text(shape));
    return cli::kExitOk;
  }
  const int ranks = static_cast<int>(options.ranks);
  if (!under_launcher()) return self_launch(arguments, ranks > 0 ? ranks : default_ranks());
  FF_TRY(check_ranks(ranks));
  FF_TRY_ASSIGN(Config config, Config::from_environment());
  if (options.transport != "auto") {
    FF_TRY_ASSIGN(config.transport, parse_transport(options.transport));
  }
  FF_TRY_ASSIGN(const std::unique_ptr<Communicator> comm, Communicator::from_environment(config));
  const PerfCase c = perf_case(kind, comm->size(), dtype, options.size.bytes);
  if (comm->rank() == 0) {
    const Communicator::Plan plan = comm->explain(kind, dtype, c.count);
    print(json ? plan.json : plan.text);
  }
  FF_TRY(comm->barrier());
  return cli::kExitOk;
}

}  // namespace

cli::Command explain_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "explain";
  command.summary = "Show how a call would run: transports, algorithms, chunks, trees";
  command.description =
      "Starts ranks (or joins those of a launcher), and asks the communicator. With --shape it shows the trees that so "
      "many hosts would form, without starting anything.";
  command.options = {
      {.names = "--size", .target = &o.size, .help = "Size of the message", .min = 1, .max = 1ull << 50},
      {.names = "--collective", .target = &o.collective, .help = "The call", .choices = perf_collective_names()},
      {.names = "-d,--type", .target = &o.type, .help = "Type of the elements", .value_name = "TYPE"},
      {.names = "--ranks",
       .target = &o.ranks,
       .help = "Ranks to start here; 0: one a core, 2 to 8",
       .value_name = "N",
       .min = 0,
       .max = 4096},
      {.names = "--transport", .target = &o.transport, .help = "How ranks meet", .choices = {"auto", "shm", "tcp"}},
      {.names = "--shape",
       .target = &o.shape,
       .help = "Show the trees of this many hosts and ranks instead",
       .value_name = "HOSTSxRANKS"},
  };
  options->output.add_to(command);
  command.examples = {{"hfreduce explain --ranks 2 --size 64MiB", "allreduce between two ranks here"},
                      {"hfreduce explain --shape 16x8", "the trees of 16 hosts"}};
  command.run = [options, arguments] { return run_explain(*options, arguments); };
  return command;
}

}  // namespace ff::hfreduce::cmd
