// What the commands under `ffbench net` share: where the agents are, how bytes travel, how large messages are; and
// their commands, a file for those that belong together.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/net/cases.hpp"
#include "ffbench/net/cluster.hpp"
#include "ffbench/net/serve.hpp"

namespace ff::bench {

cli::Command net_serve_command();
cli::Command net_bandwidth_command(const Arguments& arguments);
cli::Command net_latency_command(const Arguments& arguments);
cli::Command net_all_to_all_command(const Arguments& arguments);
cli::Command net_incast_command(const Arguments& arguments);
cli::Command net_mesh_command(const Arguments& arguments);

std::vector<std::string> traffic_class_names();

// Where the agents are.
struct NetWhere {
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

// How bytes travel.
struct NetHow {
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

// Sizes of messages: a list, or a sweep.
struct NetSizes {
  std::string list;
  cli::ByteSize begin, end;
  std::int64_t factor = 2;

  void add_to(cli::Command& command, const std::string& otherwise);
  // `otherwise`: where neither was given. kInvalidArgument: both, or one over `most`.
  Result<std::vector<std::uint64_t>> sizes(std::uint64_t otherwise, std::uint64_t most) const;
};

// Must outlive the command's run.
struct NetOptions {
  NetWhere where;
  NetHow how;
  NetSizes sizes;
  MeasureOptions measure;

  NetOptions() { measure.leave_unbound(); }
};

// Of commands whose connections are kept full: how many pushes of `--transport ff` are under way on each.
struct StreamOptions : NetOptions {
  std::int64_t depth = 8;

  void add_depth_to(cli::Command& command);
  // The plan with transport, sizes and depth; `cluster` gets the planes.
  Result<NetPlan> plan(ClusterOptions& cluster) const;
};
inline constexpr const char* kStreamSizes = "128KiB (ff: 1MiB)";

extern const std::vector<cli::ExitCode> kNetExitCodes;

using MakeNetCases = std::function<std::vector<Case>(Cluster& cluster)>;
// Below the table; `text`: there is one.
using PrintMore = std::function<void(const Document& document, const std::vector<AgentPeer>& agents, bool text)>;

// Starts the agents, runs the cases, and says whom it lost.
Result<int> run_net_session(const std::string& name, const MeasureOptions& measure, const Arguments& arguments,
                            const ClusterOptions& cluster_options, const MakeNetCases& make_cases,
                            const PrintMore& more = {});

// Each bandwidth once more in Gb/s, when the output is text.
void print_gbits(const Document& document, bool text);

}  // namespace ff::bench
