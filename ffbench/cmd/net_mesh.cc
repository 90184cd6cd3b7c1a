// `ffbench net mesh`: every pair of hosts in its turn, and which are slow.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "ffbench/cmd/net_options.hpp"
#include "ffbench/net/mesh.hpp"

namespace ff::bench {
namespace {

// Maps and findings below the table; beside a machine-readable document the findings go to standard error.
void print_mesh(const Document& document, const std::vector<AgentPeer>& agents, bool text) {
  std::vector<std::string> names;
  for (const AgentPeer& agent : agents) names.push_back(agent.name);
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  struct Figure {
    const char* metric;
    const char* unit;
    const char* what;
    Better better;
  };
  for (const Figure& figure : {Figure{"bandwidth", "B/s", "bandwidth", Better::kHigher},
                               Figure{"latency_p50", "ns", "latency (p50)", Better::kLower}}) {
    const Matrix matrix = mesh_matrix(document.rows, names, figure.metric);
    const MeshVerdict verdict = judge_mesh(matrix, figure.better);
    const auto findings = describe_mesh(verdict, matrix, names, figure.what);
    if (text) fmt::print("\n{}", heat_map(matrix, verdict, names, figure.better, figure.unit, figure.what, colour));
    for (const std::string& finding : findings) fmt::print(text ? stdout : stderr, "{}\n", finding);
    if (text && findings.empty() && names.size() > 2) fmt::print("no host and no pair is slow\n");
  }
  std::fflush(stdout);
}

}  // namespace

cli::Command net_mesh_command(const Arguments& arguments) {
  struct Options : StreamOptions {
    cli::ByteSize latency_bytes{64};
    bool at_once = false;
  };
  const auto options = std::make_shared<Options>();
  options->measure.repeat = 3;
  options->measure.duration = std::chrono::milliseconds(300);
  options->measure.warmup = std::chrono::milliseconds(0);
  cli::Command command;
  command.name = "mesh";
  command.summary = "Measure every pair of hosts and name the slow ones";
  command.description =
      "Every ordered pair in turn: bandwidth for two thirds of --duration, latency for the rest. Then a map host x "
      "host, "
      "rows send, and which host or pair is not like the others (median and MAD; from three hosts on).";
  options->where.add_to(command, false);
  options->how.add_to(command);
  command.options.push_back({.names = "-s,--size",
                             .target = &options->sizes.list,
                             .help = "Size of the messages of bandwidth; empty: 128KiB (ff: 1MiB)",
                             .value_name = "SIZE"});
  command.options.push_back({.names = "--latency-size",
                             .target = &options->latency_bytes,
                             .help = "Size of the messages of latency",
                             .min = 1,
                             .max = 4194304});
  options->add_depth_to(command);
  command.options.push_back({.names = "--at-once",
                             .target = &options->at_once,
                             .help = "Pairs that share no host at the same time: quicker, and loads the switches"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net mesh --hosts a,b,c,d", "which link of these hosts is bad?"},
                      {"ffbench net mesh --local 4 --at-once --repeat 1", "a quick look at this machine"}};
  command.exit_codes = kNetExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(false, 2));
    MeshPlan plan;
    FF_TRY_ASSIGN(plan.net, options->plan(cluster));
    if (plan.net.sizes.size() != 1) return fail(Errc::kInvalidArgument, "--size: mesh takes one size");
    plan.latency_bytes = options->latency_bytes.bytes;
    plan.at_once = options->at_once;
    return run_net_session(
        "net mesh", options->measure, arguments, cluster, [&](Cluster& c) { return mesh_cases(c, plan); }, print_mesh);
  };
  return command;
}

}  // namespace ff::bench
