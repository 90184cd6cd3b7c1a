#include "ffbench/cmd/commands.hpp"

namespace ff::bench {

cli::App app(const Arguments& arguments) {
  cli::App app;
  app.root.name = "ffbench";
  app.root.summary = "Measure network, storage, memory and collectives, and judge whether a node is fit";
  app.root.description =
      "Every measuring command warms up, repeats in interleaved rounds, states medians with confidence intervals and "
      "the machine they were taken on, and prints one JSON document with --json that compare, plot and report read.";
  app.root.examples = {{"ffbench net bw --local", "TCP bandwidth between two processes here"},
                       {"ffbench storage path /data --rw randread --bs 4K --qd 16", "random reads of a file system"},
                       {"ffbench node --level quick", "is this node fit for a job?"},
                       {"ffbench mem --json | ffbench compare base.json -", "has the memory become slower?"}};
  app.root.commands = {net_command(arguments),        storage_command(arguments), meta_command(arguments),
                       mem_command(arguments),        cpu_command(arguments),     reduce_command(arguments),
                       collective_command(arguments), node_command(arguments),    xid_command(arguments),
                       failures_command(arguments),   compare_command(arguments), plot_command(arguments),
                       report_command(arguments)};
  return app;
}

}  // namespace ff::bench
