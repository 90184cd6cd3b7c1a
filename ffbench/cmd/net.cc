// ffbench net: options of the six commands, and what they put together of ffbench/net.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/measure/processors.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/net/cases.hpp"
#include "ffbench/net/cluster.hpp"
#include "ffbench/net/mesh.hpp"
#include "ffbench/net/serve.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/net/traffic_class.hpp"

namespace ff::bench {
namespace {

constexpr double kTimeoutMax = 3600;

std::vector<std::string> class_names() {
  std::vector<std::string> names;
  for (const net::TrafficClass c : net::kTrafficClasses) names.emplace_back(net::traffic_class_name(c));
  return names;
}

// Where the agents are.
struct Where {
  bool local = false;
  std::int64_t netns = 0;
  std::string hosts;
  std::vector<std::string> peers;  // or, with --local, how many
  std::string key_file;
  bool insecure = false;
  std::string ssh;
  std::string remote_path;
  std::int64_t port = kNetPort;
  cli::Duration timeout = std::chrono::seconds(10);
  std::string peer_cpus;

  void add_to(cli::Command& command, bool pair);
  // `pair`: a test of two ends, of which this machine is one where only the other is named.
  Result<ClusterOptions> options(bool pair, std::size_t least) const;
};

void Where::add_to(cli::Command& command, bool pair) {
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
                     .help = "How long a step (start, connect, answer, end) may take beyond what it is meant to",
                     .min = 0.1,
                     .max = kTimeoutMax});
  options.push_back({.names = "--peer-cpus",
                     .target = &peer_cpus,
                     .help = "Processors for all agents but the first (--cpus: of the first), like 0-3,8",
                     .value_name = "LIST"});
}

Result<ClusterOptions> Where::options(bool pair, std::size_t least) const {
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

// How bytes travel.
struct How {
  std::string transport = "tcp";
  std::int64_t connections = 1;
  std::string traffic_class;
  std::string congestion;
  bool tls = false;
  bool checksum = false;
  std::int64_t planes = 1;
  std::int64_t lanes = 1;

  void add_to(cli::Command& command);
  Result<NetPlan> plan() const;
};

void How::add_to(cli::Command& command) {
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
                     .choices = class_names()});
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

Result<NetPlan> How::plan() const {
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

// Sizes of messages: a list, or a sweep.
struct Sizes {
  std::string list;
  cli::ByteSize begin, end;
  std::int64_t factor = 2;

  void add_to(cli::Command& command, const std::string& otherwise) {
    command.options.push_back({.names = "-s,--size",
                               .target = &list,
                               .help = fmt::format("Sizes of messages, like 64K,1M; empty: {}", otherwise),
                               .value_name = "LIST"});
    command.options.push_back(
        {.names = "-b,--begin", .target = &begin, .help = "Smallest size of a sweep; 0: no sweep"});
    command.options.push_back({.names = "-e,--end", .target = &end, .help = "Largest size of a sweep"});
    command.options.push_back({.names = "-f,--factor",
                               .target = &factor,
                               .help = "Each size of a sweep is this many times the one before",
                               .value_name = "N",
                               .min = 2,
                               .max = 1024});
  }
  Result<std::vector<std::uint64_t>> sizes(std::uint64_t otherwise, std::uint64_t most) const {
    const bool sweep = begin.bytes > 0 || end.bytes > 0;
    if (sweep && !list.empty()) return fail(Errc::kInvalidArgument, "-s, -b: give a list or a sweep");
    if (!sweep && list.empty()) return std::vector{otherwise};
    auto sizes = sweep ? sweep_sizes(begin.bytes, end.bytes, factor) : parse_sizes(list, most);
    if (!sizes) return fail(std::move(sizes).error().context("--size"));
    if (sizes->back() > most)
      return fail(Errc::kInvalidArgument, fmt::format("--end: more than {}", format_byte_size(most)));
    return sizes;
  }
};

// Starts the agents, runs the cases, and says whom it lost. `more` prints below the table.
template <class MakeCases, class More>
Result<int> run_session(const std::string& name, const MeasureOptions& measure, const Arguments& arguments,
                        const ClusterOptions& cluster_options, MakeCases make_cases, More more) {
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
  more(session.document(), cluster->controller().agents(), text);
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

const std::vector<cli::ExitCode> kExitCodes = {
    {3, "measured in part: a case failed, or an agent was lost on the way"},
    {128, "and more: 128 + the signal that ended it; partial results stand"}};

struct CommonOptions {
  Where where;
  How how;
  Sizes sizes;
  MeasureOptions measure;

  CommonOptions() { measure.leave_unbound(); }
};

cli::Command serve_command() {
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

cli::Command bandwidth_command(const Arguments& arguments) {
  struct Options : CommonOptions {
    bool bidirectional = false, gbits = false;
    std::int64_t depth = 8, iterations = 0;
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "bw";
  command.summary = "Measure bandwidth between two hosts";
  command.description =
      "The first agent (this machine, where one HOST is given) sends to the second. Bandwidth is what the receiver "
      "counted "
      "in the window over its length; with several flows the sum. Processor time is that of the agents' processes, "
      "user and "
      "kernel, for each byte.";
  options->where.add_to(command, true);
  options->how.add_to(command);
  options->sizes.add_to(command, "128KiB (ff: 1MiB)");
  command.options.push_back({.names = "--bidi", .target = &options->bidirectional, .help = "Both directions at once"});
  command.options.push_back({.names = "-t,--tx-depth",
                             .target = &options->depth,
                             .help = "ff: pushes under way on each connection",
                             .value_name = "N",
                             .min = 1,
                             .max = 1024});
  command.options.push_back({.names = "-n,--iters",
                             .target = &options->iterations,
                             .help = "Messages of each connection, within 10m; 0: for --duration",
                             .value_name = "N",
                             .min = 0,
                             .max = 1e12});
  command.options.push_back({.names = "--report-gbits", .target = &options->gbits, .help = "Text also tells Gb/s"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net bw --local", "TCP between two processes of this machine"},
                      {"ffbench net bw node7 --key cluster.key -q 4 --bidi", "four connections each way to an agent"},
                      {"ffbench net bw --hosts a,b --transport ff -b 64K -e 16M", "our transport, a sweep of sizes"}};
  command.exit_codes = kExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(true, 2));
    FF_TRY_ASSIGN(NetPlan plan, options->how.plan());
    const bool ff = plan.test.transport() == NET_FF;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(ff ? kMiB : 128 * kKiB, kTestMessageBytesMax));
    cluster.planes = options->how.planes;
    plan.test.set_depth(static_cast<std::uint32_t>(ff ? options->depth : 1));
    plan.test.set_iterations(static_cast<std::uint64_t>(options->iterations));
    plan.bidirectional = options->bidirectional;
    if (ff) {
      plan.traits += fmt::format(" depth={}", options->depth);
      plan.parameters.emplace_back("depth", options->depth);
    }
    if (options->iterations > 0) plan.traits += fmt::format(" n={}", options->iterations);
    if (plan.bidirectional) plan.traits += " bidi";
    plan.parameters.emplace_back("bidirectional", plan.bidirectional);
    return run_session(
        "net bw", options->measure, arguments, cluster, [&](Cluster& c) { return bandwidth_cases(c, plan); },
        [&](const Document& document, const auto&, bool text) { print_gbits(document, text && options->gbits); });
  };
  return command;
}

cli::Command latency_command(const Arguments& arguments) {
  struct Options : CommonOptions {
    double rate = 0;
    std::int64_t iterations = 0;
    std::string poll = "block";
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "lat";
  command.summary = "Measure latency between two hosts";
  command.description =
      "The first agent (this machine, where one HOST is given) asks and the second answers with as many bytes. latency "
      "is "
      "half of the round trip, as perftest has it. With --rate a request counts from when it was due, answered or not: "
      "a "
      "stall costs every request that was due in it (no coordinated omission).";
  options->where.add_to(command, true);
  options->how.add_to(command);
  options->sizes.add_to(command, "64B");
  command.options.push_back(
      {.names = "--rate",
       .target = &options->rate,
       .help = "Requests a second of each connection, sent whether answered or not; 0: one at a time",
       .value_name = "R",
       .min = 0,
       .max = 1e8});
  command.options.push_back({.names = "-n,--iters",
                             .target = &options->iterations,
                             .help = "Requests of each connection, within 10m; 0: for --duration",
                             .value_name = "N",
                             .min = 0,
                             .max = 1e12});
  command.options.push_back({.names = "--poll",
                             .target = &options->poll,
                             .help = "How the ends wait for a message: in the kernel, or asking again and again",
                             .value_name = "HOW",
                             .choices = {"block", "spin"}});
  options->measure.add_to(command);
  command.examples = {
      {"ffbench net lat --local --poll spin", "the least that two processes of this machine can have"},
      {"ffbench net lat node7 --key cluster.key --rate 10000", "under a steady load of 10000 requests a second"}};
  command.exit_codes = kExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(true, 2));
    FF_TRY_ASSIGN(NetPlan plan, options->how.plan());
    const bool ff = plan.test.transport() == NET_FF;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(64, ff ? net::kMessageBytesMax : kTestMessageBytesMax));
    if (options->rate > 0 && options->iterations > 0)
      return fail(Errc::kInvalidArgument, "--rate, --iters: a rate goes with a duration, not with a count");
    cluster.planes = options->how.planes;
    plan.test.set_rate(options->rate);
    plan.test.set_iterations(static_cast<std::uint64_t>(options->iterations));
    plan.test.set_spin(options->poll == "spin");
    if (options->rate > 0) plan.traits += fmt::format(" rate={:g}", options->rate);
    if (options->iterations > 0) plan.traits += fmt::format(" n={}", options->iterations);
    if (options->poll == "spin") plan.traits += " spin";
    plan.parameters.emplace_back("rate", options->rate);
    plan.parameters.emplace_back("poll", options->poll);
    return run_session(
        "net lat", options->measure, arguments, cluster, [&](Cluster& c) { return latency_cases(c, plan); },
        [](const Document&, const auto&, bool) {});
  };
  return command;
}

cli::Command all_to_all_command(const Arguments& arguments) {
  struct Options : CommonOptions {
    std::int64_t depth = 8;
    bool gbits = false;
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "all2all";
  command.summary = "Measure bandwidth while every host sends to every other";
  command.description = "All ordered pairs at once: the sum, each pair, and fairness (the slowest pair / the fastest).";
  options->where.add_to(command, false);
  options->how.add_to(command);
  options->sizes.add_to(command, "128KiB (ff: 1MiB)");
  command.options.push_back({.names = "-t,--tx-depth",
                             .target = &options->depth,
                             .help = "ff: pushes under way on each connection",
                             .value_name = "N",
                             .min = 1,
                             .max = 1024});
  command.options.push_back({.names = "--report-gbits", .target = &options->gbits, .help = "Text also tells Gb/s"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net all2all --local 4", "four processes of this machine"},
                      {"ffbench net all2all --hosts a,b,c,d --json", "four hosts, as JSON"}};
  command.exit_codes = kExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(false, 2));
    FF_TRY_ASSIGN(NetPlan plan, options->how.plan());
    const bool ff = plan.test.transport() == NET_FF;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(ff ? kMiB : 128 * kKiB, kTestMessageBytesMax));
    cluster.planes = options->how.planes;
    plan.test.set_depth(static_cast<std::uint32_t>(ff ? options->depth : 1));
    return run_session(
        "net all2all", options->measure, arguments, cluster, [&](Cluster& c) { return all_to_all_cases(c, plan); },
        [&](const Document& document, const auto&, bool text) { print_gbits(document, text && options->gbits); });
  };
  return command;
}

cli::Command incast_command(const Arguments& arguments) {
  struct Options {
    Where where;
    Sizes sizes;
    MeasureOptions measure;
    std::int64_t streams = 4;
    double rate = 2000;
    std::string traffic_class = "storage", bystander_class = "metadata";
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "incast";
  command.summary = "Measure many senders to one receiver, with and without request-to-send";
  command.description =
      "The first agent fetches from all others at once over our rpc. A bystander, small calls at a steady rate between "
      "the "
      "last agent and the receiver, shares the way in; with three agents or more it sends nothing else. Rows: without "
      "request-to-send, with it, and the ratio of the two.";
  options->measure.leave_unbound();
  options->where.add_to(command, false);
  options->sizes.add_to(command, "1MiB");
  command.options.push_back({.names = "-q,--streams",
                             .target = &options->streams,
                             .help = "Fetches under way from each sender",
                             .value_name = "N",
                             .min = 1,
                             .max = 256});
  command.options.push_back({.names = "--rate",
                             .target = &options->rate,
                             .help = "Calls of the bystander a second, sent whether answered or not",
                             .value_name = "R",
                             .min = 1,
                             .max = 1e6});
  command.options.push_back({.names = "--class",
                             .target = &options->traffic_class,
                             .help = "Traffic class of the senders' data",
                             .value_name = "CLASS",
                             .choices = class_names()});
  command.options.push_back({.names = "--bystander-class",
                             .target = &options->bystander_class,
                             .help = "Traffic class of the bystander",
                             .value_name = "CLASS",
                             .choices = class_names()});
  options->measure.add_to(command);
  command.examples = {{"ffbench net incast --hosts a,b,c,d,e,f", "four senders and a bystander into a"},
                      {"ffbench net incast --local 4 -s 256K,4M", "how the size of the pieces matters"}};
  command.exit_codes = kExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(const ClusterOptions cluster, options->where.options(false, 2));
    IncastPlan plan;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(kMiB, 256 * kMiB));
    plan.spec.streams = static_cast<std::uint32_t>(options->streams);
    plan.spec.bystander_rate = options->rate;
    plan.spec.traffic_class = options->traffic_class;
    plan.spec.bystander_class = options->bystander_class;
    return run_session(
        "net incast", options->measure, arguments, cluster,
        [&](Cluster& c) {
          const std::size_t agents = c.controller().agents().size();
          plan.spec.bystander = agents - 1;
          for (std::size_t sender = 1; sender < std::max<std::size_t>(agents - 1, 2); ++sender)
            plan.spec.senders.push_back(sender);
          plan.parameters = {{"senders", static_cast<std::int64_t>(plan.spec.senders.size())},
                             {"streams", options->streams},
                             {"class", options->traffic_class},
                             {"bystander_class", options->bystander_class},
                             {"rate", options->rate}};
          return incast_cases(c, plan);
        },
        [](const Document&, const auto&, bool) {});
  };
  return command;
}

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

cli::Command mesh_command(const Arguments& arguments) {
  struct Options : CommonOptions {
    cli::ByteSize latency_bytes{64};
    std::int64_t depth = 8;
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
  command.options.push_back({.names = "-t,--tx-depth",
                             .target = &options->depth,
                             .help = "ff: pushes under way on each connection",
                             .value_name = "N",
                             .min = 1,
                             .max = 1024});
  command.options.push_back({.names = "--at-once",
                             .target = &options->at_once,
                             .help = "Pairs that share no host at the same time: quicker, and loads the switches"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net mesh --hosts a,b,c,d", "which link of these hosts is bad?"},
                      {"ffbench net mesh --local 4 --at-once --repeat 1", "a quick look at this machine"}};
  command.exit_codes = kExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(false, 2));
    MeshPlan plan;
    FF_TRY_ASSIGN(plan.net, options->how.plan());
    const bool ff = plan.net.test.transport() == NET_FF;
    FF_TRY_ASSIGN(plan.net.sizes, options->sizes.sizes(ff ? kMiB : 128 * kKiB, kTestMessageBytesMax));
    if (plan.net.sizes.size() != 1) return fail(Errc::kInvalidArgument, "--size: mesh takes one size");
    cluster.planes = options->how.planes;
    plan.net.test.set_depth(static_cast<std::uint32_t>(ff ? options->depth : 1));
    plan.latency_bytes = options->latency_bytes.bytes;
    plan.at_once = options->at_once;
    return run_session(
        "net mesh", options->measure, arguments, cluster, [&](Cluster& c) { return mesh_cases(c, plan); }, print_mesh);
  };
  return command;
}

}  // namespace

cli::Command net_command(const Arguments& arguments) {
  cli::Command command;
  command.name = "net";
  command.summary = "Measure the network between hosts";
  command.description =
      "Agents on the hosts move the bytes; this process tells them what to do and gathers what they counted. They are "
      "started for the run (--local, --hosts, --netns) or run already (`ffbench net serve`).";
  command.examples = {{"ffbench net bw --local", "what this machine's TCP can do"},
                      {"ffbench net mesh --hosts a,b,c,d", "which link is slow?"}};
  command.commands = {serve_command(),
                      bandwidth_command(arguments),
                      latency_command(arguments),
                      all_to_all_command(arguments),
                      incast_command(arguments),
                      mesh_command(arguments)};
  return command;
}

}  // namespace ff::bench
