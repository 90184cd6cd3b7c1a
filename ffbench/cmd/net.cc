// `ffbench net`: its commands in one.
#include "ffbench/cmd/net_options.hpp"

namespace ff::bench {

cli::Command net_command(const Arguments& arguments) {
  cli::Command command;
  command.name = "net";
  command.summary = "Measure the network between hosts";
  command.description =
      "Agents on the hosts move the bytes; this process tells them what to do and gathers what they counted. They are "
      "started for the run (--local, --hosts, --netns) or run already (`ffbench net serve`).";
  command.examples = {{"ffbench net bw --local", "what this machine's TCP can do"},
                      {"ffbench net mesh --hosts a,b,c,d", "which link is slow?"}};
  command.commands = {net_serve_command(),
                      net_bandwidth_command(arguments),
                      net_latency_command(arguments),
                      net_all_to_all_command(arguments),
                      net_incast_command(arguments),
                      net_mesh_command(arguments)};
  return command;
}

}  // namespace ff::bench
