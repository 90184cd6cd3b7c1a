// `ffbench net serve`: an agent that stays.
#include <fmt/core.h>

#include <memory>

#include "ffbench/cmd/net_options.hpp"

namespace ff::bench {

cli::Command net_serve_command() {
  struct Options {
    ServeOptions serve;
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "serve";
  command.summary = "Run an agent that tests on this host go through";
  command.description =
      "Serves any test that a controller asks for: options travel, nothing is said twice. Data connections use ports "
      "that "
      "the kernel chooses.";
  command.options = {
      {.names = "--listen",
       .target = &options->serve.listen,
       .help = fmt::format("Address to listen at; empty: every interface, port {}", kNetPort),
       .value_name = "ADDR"},
      {.names = "--key",
       .target = &options->serve.key_file,
       .help = "Cluster key, the same file as the controllers'",
       .value_name = "FILE",
       .environment = "FF_CLUSTER_KEY",
       .complete = "file"},
      {.names = "--insecure",
       .target = &options->serve.insecure,
       .help = "No key: everybody who reaches the port may run tests"},
      {.names = "--once", .target = &options->serve.once, .help = "End when the first controller has gone"},
      {.names = "--stdio",
       .target = &options->serve.stdio,
       .help = "Started by a controller: key from standard input, end with it",
       .hidden = true},
      {.names = "--control",
       .target = &options->serve.control,
       .help = "Listen at this address too",
       .value_name = "ADDR",
       .hidden = true}};
  command.examples = {
      {"ffbench net serve --key /etc/fire-flyer/cluster.key", "an agent on every interface"},
      {"ffbench net serve --insecure --listen 127.0.0.1:9000 --once", "for one controller of this machine"}};
  command.run = [options] { return serve_net(options->serve); };
  return command;
}

}  // namespace ff::bench
