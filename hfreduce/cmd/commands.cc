#include "hfreduce/cmd/commands.hpp"

namespace ff::hfreduce::cmd {

cli::App app(const Arguments& arguments) {
  cli::App app;
  app.root.name = "hfreduce";
  app.root.summary = "Run, measure and use collectives on the CPU";
  app.root.description =
      "Starts the ranks of a parallel program, sums arrays in files across ranks, and measures and explains what "
      "libhfreduce does on this machine.";
  app.root.examples = {{"hfreduce perf -b 1K -e 64M", "measure allreduce between two ranks here"},
                       {"hfreduce run -n 4 -- ./train", "start four ranks of a program"},
                       {"hfreduce reduce --op sum a.npy b.npy -o sum.npy", "sum two arrays"}};
  app.root.commands = {run_command(),           reduce_command(),        allreduce_command(),
                       perf_command(arguments), tune_command(arguments), explain_command(arguments),
                       topo_command(),          agent_command()};
  return app;
}

}  // namespace ff::hfreduce::cmd
