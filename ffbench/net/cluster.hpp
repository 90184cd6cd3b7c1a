// Cluster: the agents of one run of `ffbench net`, and the Controller that drives them.
//
//   local N       N agents, processes of this machine that meet on 127.0.0.1
//   netns N       N agents in network namespaces of this machine, joined by a bridge (hfreduce/run/netns.hpp)
//   hosts         an agent on each, started through ssh; on this machine directly
//   peers         agents that run there already (`ffbench net serve`)
//
// Keys     local, netns and hosts have a key of their own, made for this run; peers share --key with us.
// Ending   Agents that were started here end with the Cluster, and with this process, however it ends.
// Threads  Main's: starting and run() block. The Env of the Controller runs inside run() only.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/net/agent_process.hpp"
#include "ffbench/net/controller.hpp"
#include "ffbench/net/endpoint.hpp"

namespace ff::bench {

struct ClusterOptions {
  std::int64_t local = 0;
  std::int64_t netns = 0;
  std::vector<std::string> hosts = {};
  std::vector<std::string> peers = {};  // HOST[:PORT], unix:PATH
  bool with_local_end = false;          // agent 0 is a process of this machine, beside `peers`
  std::string key_file = {};
  bool insecure = false;
  std::vector<std::string> ssh = {"ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15"};
  std::string executable = {};   // of ffbench; empty: this program's
  std::string remote_path = {};  // the same on the hosts; empty: as here
  std::uint16_t port = 0;        // of peers that name none
  std::int64_t planes = 1;       // addresses of each agent that ff connections are striped over
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  std::vector<int> first_processors = {};  // agent 0 runs tests on these; empty: where it is
  std::vector<int> peer_processors = {};   // of all agents but the first
};

class Cluster {
 public:
  // All agents have answered. Errors name the agent.
  static Result<std::unique_ptr<Cluster>> start(const ClusterOptions& options, const std::stop_token& stop);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  Controller& controller() noexcept { return *controller_; }
  // Runs a task of the controller; a requested stop cancels it (kCancelled), and it then has ended.
  template <class T>
  Result<T> run(runtime::Task<Result<T>> task, const std::stop_token& stop) {
    return env_->run(until_stopped(std::move(task), stop));
  }

 private:
  Cluster() = default;
  template <class T>
  static runtime::Task<Result<T>> until_stopped(runtime::Task<Result<T>> task, std::stop_token stop) {
    std::vector<runtime::Task<Result<T>>> tasks;
    tasks.push_back(std::move(task));
    tasks.push_back(watch<T>(std::move(stop)));
    runtime::First<Result<T>> first = co_await runtime::when_any(std::move(tasks));
    co_return std::move(first.value);
  }
  template <class T>
  static runtime::Task<Result<T>> watch(std::stop_token stop) {
    while (!stop.stop_requested()) {
      const Result<> slept = co_await runtime::sleep(std::chrono::milliseconds(20));
      if (!slept) co_return std::unexpected(slept.error());
    }
    co_return fail(Errc::kCancelled, "stopped on request");
  }

  Result<> start_here(const ClusterOptions& options, std::size_t count);
  Result<> start_netns(const ClusterOptions& options);
  Result<> start_hosts(const ClusterOptions& options);
  Result<> add_peers(const ClusterOptions& options);
  Result<> wait_until_ready(const ClusterOptions& options, const std::stop_token& stop);
  Result<> connect(const ClusterOptions& options, const std::stop_token& stop);

  struct Place {
    std::size_t process = 0;  // of processes_
    bool loopback = false;    // only agents of this machine meet it
    bool local = false;
    std::string host = {};     // as the user named it
    std::string control = {};  // Unix socket for the controller; empty: TCP
    int namespace_index = -1;
  };
  AgentPeer peer_of(const Place& place, const AgentReady& ready, std::int64_t planes) const;

  SharedKey key_;
  std::string folder_;  // of Unix sockets; removed at the end
  std::vector<AgentProcess> processes_;
  std::vector<Place> places_;  // of processes_, in the same order
  std::vector<AgentPeer> agents_;
  std::unique_ptr<runtime::RealEnv> env_;
  std::unique_ptr<Controller> controller_;
};

// HOST, HOST:PORT, [v6]:PORT or unix:PATH as an address; `port` where none is named.
Result<net::Address> parse_agent_address(const std::string& text, std::uint16_t port);

}  // namespace ff::bench
