#include "ffbench/cmd/net_options.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "ffbench/measure/processors.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/net/traffic_class.hpp"

namespace ff::bench {
namespace {

constexpr double kTimeoutMax = 3600;

}  // namespace

const std::vector<cli::ExitCode> kNetExitCodes = {
    {3, "measured in part: a case failed, or an agent was lost on the way"},
    {128, "and more: 128 + the signal that ended it; partial results stand"}};

std::vector<std::string> traffic_class_names() {
  std::vector<std::string> names;
  for (const net::TrafficClass c : net::kTrafficClasses) names.emplace_back(net::traffic_class_name(c));
  return names;
}

void NetWhere::add_to(cli::Command& command, bool pair) {
  auto& options = command.options;
  options.push_back(
      {.names = "hosts",
       .target = &peers,
       .help = pair ? "HOST[:PORT] where `ffbench net serve` runs (one: against this machine; two: between "
                      "them); with --local: how many agents (default 2)"
                    : "HOST[:PORT]... where `ffbench net serve` runs; with --local: how many agents (default 2)",
       .value_name = "HOST",
       .complete = "host"});
  options.push_back({.names = "--local", .target = &local, .help = "Start the agents on this machine, for this run"});
  options.push_back({.names = "--hosts",
                     .target = &hosts,
                     .help = "Start agents on these hosts through ssh, for this run: a,b,c",
                     .value_name = "LIST",
                     .complete = "host"});
  options.push_back(
      {.names = "--netns",
       .target = &netns,
       .help = "Start this many agents in network namespaces of this machine, joined by a bridge; 0: none",
       .value_name = "N",
       .min = 0,
       .max = 64});
  options.push_back({.names = "--key",
                     .target = &key_file,
                     .help = "Cluster key that the agents of HOST were started with",
                     .value_name = "FILE",
                     .environment = "FF_CLUSTER_KEY",
                     .complete = "file"});
  options.push_back(
      {.names = "--insecure", .target = &insecure, .help = "The agents of HOST were started without a key"});
  options.push_back({.names = "-p,--port",
                     .target = &port,
                     .help = "TCP port of agents whose HOST names none",
                     .value_name = "PORT",
                     .min = 1,
                     .max = 65535});
  options.push_back({.names = "--ssh",
                     .target = &ssh,
                     .help = "Command that runs a command on a host of --hosts; empty: ssh with BatchMode",
                     .value_name = "COMMAND"});
  options.push_back({.names = "--remote-path",
                     .target = &remote_path,
                     .help = "Path of ffbench on the hosts of --hosts; empty: as here",
                     .value_name = "PATH"});
  options.push_back({.names = "--timeout",
                     .target = &timeout,
                     .help = "NetHow long a step (start, connect, answer, end) may take beyond what it is meant to",
                     .min = 0.1,
                     .max = kTimeoutMax});
  options.push_back({.names = "--peer-cpus",
                     .target = &peer_cpus,
                     .help = "Processors for all agents but the first (--cpus: of the first), like 0-3,8",
                     .value_name = "LIST"});
}

Result<ClusterOptions> NetWhere::options(bool pair, std::size_t least) const {
  ClusterOptions out;
  const int ways = (local ? 1 : 0) + (netns > 0 ? 1 : 0) + (hosts.empty() ? 0 : 1) + (!local && !peers.empty() ? 1 : 0);
  if (ways != 1)
    return fail(Errc::kInvalidArgument,
                ways == 0 ? "no agents (give HOST where `ffbench net serve` runs, --local, --hosts or --netns)"
                          : "HOST, --local, --hosts, --netns: give one of them");
  if (local) {
    out.local = 2;
    if (peers.size() > 1) return fail(Errc::kInvalidArgument, "--local: takes one number (give --local 4)");
    if (!peers.empty()) {
      char* end = nullptr;
      out.local = std::strtol(peers.front().c_str(), &end, 10);
      if (*end != '\0' || out.local < 2 || out.local > 256)
        return fail(Errc::kInvalidArgument,
                    fmt::format("--local: '{}' is no number of agents (give 2 to 256)", peers.front()));
    }
  } else {
    out.peers = peers;
    std::vector<std::string> sorted = peers;
    std::ranges::sort(sorted);
    if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
      return fail(Errc::kInvalidArgument, fmt::format("HOST '{}': is there twice", *twice));
  }
  out.netns = netns;
  if (!hosts.empty()) {
    auto names = parse_names(hosts);
    if (!names) return fail(std::move(names).error().context("--hosts"));
    out.hosts = std::move(*names);
  }
  out.with_local_end = pair && out.peers.size() == 1;
  const auto agents = static_cast<std::size_t>(out.local + out.netns) + out.hosts.size() + out.peers.size() +
                      (out.with_local_end ? 1 : 0);
  if (agents < least || (pair && agents > 2))
    return fail(Errc::kInvalidArgument, fmt::format("{} agents: {} needed (see --help for ways to give them)", agents,
                                                    pair ? "2 are" : fmt::format("at least {} are", least)));
  out.key_file = key_file;
  out.insecure = insecure;
  if (!ssh.empty()) {
    std::istringstream words(ssh);
    out.ssh.clear();
    for (std::string word; words >> word;) out.ssh.push_back(word);
    if (out.ssh.empty()) return fail(Errc::kInvalidArgument, "--ssh: only blanks (give a command)");
  }
  out.remote_path = remote_path;
  out.port = static_cast<std::uint16_t>(port);
  out.timeout = timeout;
  if (!peer_cpus.empty()) {
    auto processors = parse_processors(peer_cpus);
    if (!processors) return fail(std::move(processors).error().context("--peer-cpus"));
    out.peer_processors = std::move(*processors);
  }
  return out;
}

void NetHow::add_to(cli::Command& command) {
  auto& options = command.options;
  options.push_back(
      {.names = "--transport",
       .target = &transport,
       .help = "tcp, uds: plain kernel sockets and threads; ff: our own transport, as our programs use it",
       .value_name = "NAME",
       .choices = {"tcp", "uds", "ff"}});
  options.push_back({.names = "-q,--connections",
                     .target = &connections,
                     .help = "Connections of each flow",
                     .value_name = "N",
                     .min = 1,
                     .max = kTestConnectionsMax});
  options.push_back({.names = "--class",
                     .target = &traffic_class,
                     .help = "Traffic class that the connections are marked with; empty: none (ff: control)",
                     .value_name = "CLASS",
                     .choices = traffic_class_names()});
  options.push_back({.names = "--cc",
                     .target = &congestion,
                     .help = "tcp: congestion control, like cubic, reno or bbr; empty: the kernel's choice",
                     .value_name = "NAME"});
  options.push_back({.names = "--tls", .target = &tls, .help = "ff: encrypt (TLS 1.3 by the cluster key)"});
  options.push_back({.names = "--checksum", .target = &checksum, .help = "ff: checksum bulk data (CRC-32C)"});
  options.push_back({.names = "--planes",
                     .target = &planes,
                     .help = "ff: addresses of each agent that its data are striped over (agents started by this run)",
                     .value_name = "N",
                     .min = 1,
                     .max = static_cast<double>(net::kPlanesMax)});
  options.push_back({.names = "--lanes",
                     .target = &lanes,
                     .help = "ff: sockets for bulk data on each plane of a connection",
                     .value_name = "N",
                     .min = 1,
                     .max = 64});
}

Result<NetPlan> NetHow::plan() const {
  NetPlan plan;
  const bool ff = transport == "ff";
  if (!ff && (tls || checksum || planes > 1 || lanes > 1))
    return fail(Errc::kInvalidArgument,
                "--tls, --checksum, --planes, --lanes: are of the transport ff (add --transport ff)");
  if (transport != "tcp" && !congestion.empty())
    return fail(Errc::kInvalidArgument, "--cc: is of the transport tcp only");
  plan.test.set_transport(ff ? NET_FF : transport == "uds" ? NET_UDS : NET_TCP);
  plan.test.set_depth(1);
  plan.test.set_lanes(static_cast<std::uint32_t>(lanes));
  plan.test.set_traffic_class(traffic_class);
  plan.test.set_congestion(congestion);
  plan.test.set_tls(tls);
  plan.test.set_checksum(checksum);
  plan.connections = static_cast<std::uint32_t>(connections);
  plan.traits = fmt::format("{} q={}", transport, connections);
  plan.parameters = {{"transport", transport}, {"connections", connections}};
  const auto trait = [&plan](const char* name, const std::string& value) {
    plan.traits += fmt::format(" {}={}", name, value);
    plan.parameters.emplace_back(name, value);
  };
  if (!traffic_class.empty()) trait("class", traffic_class);
  if (!congestion.empty()) trait("cc", congestion);
  if (tls) trait("tls", "on");
  if (checksum) trait("checksum", "on");
  if (planes > 1) trait("planes", std::to_string(planes));
  if (lanes > 1) trait("lanes", std::to_string(lanes));
  return plan;
}

void NetSizes::add_to(cli::Command& command, const std::string& otherwise) {
  command.options.push_back({.names = "-s,--size",
                             .target = &list,
                             .help = fmt::format("NetSizes of messages, like 64K,1M; empty: {}", otherwise),
                             .value_name = "LIST"});
  command.options.push_back({.names = "-b,--begin", .target = &begin, .help = "Smallest size of a sweep; 0: no sweep"});
  command.options.push_back({.names = "-e,--end", .target = &end, .help = "Largest size of a sweep"});
  command.options.push_back({.names = "-f,--factor",
                             .target = &factor,
                             .help = "Each size of a sweep is this many times the one before",
                             .value_name = "N",
                             .min = 2,
                             .max = 1024});
}

Result<std::vector<std::uint64_t>> NetSizes::sizes(std::uint64_t otherwise, std::uint64_t most) const {
  const bool sweep = begin.bytes > 0 || end.bytes > 0;
  if (sweep && !list.empty()) return fail(Errc::kInvalidArgument, "-s, -b: give a list or a sweep");
  if (!sweep && list.empty()) return std::vector{otherwise};
  auto sizes = sweep ? sweep_sizes(begin.bytes, end.bytes, factor) : parse_sizes(list, most);
  if (!sizes) return fail(std::move(sizes).error().context("--size"));
  if (sizes->back() > most)
    return fail(Errc::kInvalidArgument, fmt::format("--end: more than {}", format_byte_size(most)));
  return sizes;
}

void StreamOptions::add_depth_to(cli::Command& command) {
  command.options.push_back({.names = "-t,--tx-depth",
                             .target = &depth,
                             .help = "ff: pushes under way on each connection",
                             .value_name = "N",
                             .min = 1,
                             .max = 1024});
}

Result<NetPlan> StreamOptions::plan(ClusterOptions& cluster) const {
  FF_TRY_ASSIGN(NetPlan plan, how.plan());
  const bool ff = plan.test.transport() == NET_FF;
  FF_TRY_ASSIGN(plan.sizes, sizes.sizes(ff ? kMiB : 128 * kKiB, kTestMessageBytesMax));
  plan.test.set_depth(static_cast<std::uint32_t>(ff ? depth : 1));
  cluster.planes = how.planes;
  return plan;
}

Result<int> run_net_session(const std::string& name, const MeasureOptions& measure, const Arguments& arguments,
                            const ClusterOptions& cluster_options, const MakeNetCases& make_cases,
                            const PrintMore& more) {
  FF_TRY_ASSIGN(Session session, Session::open(name, measure, arguments));
  ClusterOptions with_processors = cluster_options;
  FF_TRY_ASSIGN(with_processors.first_processors, measure.listed_processors());
  auto started = Cluster::start(with_processors, session.stop());
  if (!started) {
    // Stopped before anything was measured: finish() knows the signal.
    if (session.stop().stop_requested()) return session.finish();
    return std::unexpected(started.error());
  }
  const std::unique_ptr<Cluster> cluster = std::move(*started);
  FF_TRY_ASSIGN(const int code, session.run(make_cases(*cluster)));
  const bool text = session.format() == report::Format::kTable || session.format() == report::Format::kWide;
  if (more) more(session.document(), cluster->controller().agents(), text);
  if (const std::string lost = cluster->controller().lost_text(); !lost.empty())
    fmt::print(stderr, "ffbench: {}: {}; what was measured before stands\n", name, lost);
  return code;
}

void print_gbits(const Document& document, bool text) {
  if (!text) return;
  for (const Row& row : document.rows)
    for (const Metric& metric : row.metrics)
      if (metric.unit == "B/s" && !metric.samples.empty())
        fmt::print("{} {}: {:.3f} Gb/s\n", row.name, metric.name, median(metric.samples) * 8e-9);
}

}  // namespace ff::bench
