#include "ffbench/net/cluster.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "hfreduce/run/hosts.hpp"
#include "hfreduce/run/netns.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::bench {

namespace run = hfreduce::run;
using runtime::Task;

namespace {

constexpr std::int64_t kAgentsMax = 256;  // of one run

// So that a path with any characters survives the remote shell.
std::string shell_quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

Result<std::string> executable_of(const ClusterOptions& options) {
  return options.executable.empty() ? run::own_executable() : Result<std::string>(options.executable);
}

std::vector<std::string> agent_command(std::string executable, std::string listen) {
  return {std::move(executable), "net", "serve", "--stdio", "--listen", std::move(listen)};
}

// Local agents on several planes: 127.0.0.1, 127.0.0.2, ... are all this machine.
std::vector<std::string> loopback_hosts(std::int64_t planes) {
  std::vector<std::string> hosts;
  for (std::int64_t plane = 1; plane <= planes; ++plane) hosts.push_back(fmt::format("127.0.0.{}", plane));
  return hosts;
}

Task<Result<>> stop_all(runtime::RealEnv& env, Controller* controller) {
  if (controller != nullptr) co_await controller->stop();
  co_await env.network().stop();
  co_return {};
}

}  // namespace

Result<net::Address> parse_agent_address(const std::string& text, std::uint16_t port) {
  if (text.starts_with("unix:")) return net::parse_address(text);
  // A colon that is not inside the brackets of an IPv6 address begins a port.
  const std::size_t colon = text.rfind(':'), bracket = text.rfind(']');
  const bool named = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  auto address = net::parse_address(named ? text : fmt::format("{}:{}", text, port));
  if (!address) return address;
  if (!address->is_unix() && (address->host.empty() || address->port == 0))
    return fail(Errc::kInvalidArgument, fmt::format("'{}': is no host to connect to (give HOST or HOST:PORT)", text));
  return address;
}

Result<> Cluster::start_here(const ClusterOptions& options, std::size_t count) {
  FF_TRY_ASSIGN(const std::string executable, executable_of(options));
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = count == 1 ? "here" : fmt::format("local{}", i);
    // All of 127.0.0.0/8 when there are several planes.
    const std::string listen = options.planes > 1 ? "*:0" : "127.0.0.1:0";
    FF_TRY_ASSIGN(AgentProcess process, AgentProcess::start(name, agent_command(executable, listen)));
    processes_.push_back(std::move(process));
    places_.push_back({.process = processes_.size() - 1, .loopback = true, .local = true, .host = name});
  }
  return {};
}

Result<> Cluster::start_netns(const ClusterOptions& options) {
  if (options.netns > run::kNetnsMax)
    return fail(Errc::kInvalidArgument, fmt::format("--netns: at most {}", run::kNetnsMax));
  FF_TRY_ASSIGN(const std::string executable, executable_of(options));
  char folder[] = "/tmp/ffbench-XXXXXX";
  if (::mkdtemp(folder) == nullptr) return fail(errno_error("make a folder in /tmp"));
  folder_ = folder;
  FF_TRY_ASSIGN(std::vector<UniqueFd> sockets, run::start_netns_agents(static_cast<int>(options.netns)));
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const std::string control = fmt::format("unix:{}/{}", folder_, i);
    std::vector<std::string> command = agent_command(executable, "*:0");
    command.insert(command.end(), {"--control", control});
    const std::string name = fmt::format("netns{}", i);
    processes_.push_back(AgentProcess::adopt(name, std::move(sockets[i]), std::move(command)));
    places_.push_back({.process = processes_.size() - 1,
                       .local = true,
                       .host = name,
                       .control = control,
                       .namespace_index = static_cast<int>(i)});
  }
  return {};
}

Result<> Cluster::start_hosts(const ClusterOptions& options) {
  FF_TRY_ASSIGN(const std::string executable, executable_of(options));
  const std::string remote = options.remote_path.empty() ? executable : options.remote_path;
  const bool all_here =
      std::ranges::all_of(options.hosts, [](const std::string& h) { return run::names_this_machine(h); });
  for (const std::string& host : options.hosts) {
    const bool here = run::names_this_machine(host);
    std::vector<std::string> command = agent_command(executable, all_here ? "127.0.0.1:0" : "*:0");
    if (!here) {
      command = options.ssh;
      command.push_back(host);
      command.push_back(shell_quoted(remote) + " net serve --stdio --listen '*:0'");
    }
    FF_TRY_ASSIGN(AgentProcess process, AgentProcess::start(host, std::move(command)));
    processes_.push_back(std::move(process));
    places_.push_back({.process = processes_.size() - 1, .loopback = all_here, .local = here, .host = host});
  }
  return {};
}

Result<> Cluster::add_peers(const ClusterOptions& options) {
  if (options.planes > 1)
    return fail(Errc::kInvalidArgument,
                "--planes: agents that run already are reached by one address (give --hosts, --local or --netns)");
  for (const std::string& text : options.peers) {
    FF_TRY_ASSIGN(net::Address address, parse_agent_address(text, options.port));
    FF_TRY(net::resolve(address, net::ResolveFor::kConnect));  // a wrong name is told before anything waits
    if (address.is_unix())
      return fail(Errc::kInvalidArgument, fmt::format("'{}': agents meet over TCP (give HOST:PORT)", text));
    agents_.push_back({.name = text, .control = {{address}}, .hosts = {address.host}, .port = address.port});
  }
  return {};
}

// How others reach it: by the user's name for it where that resolves, else by what its machine says of itself (names of
// ~/.ssh/config are known to ssh alone).
AgentPeer Cluster::peer_of(const Place& place, const AgentReady& ready, std::int64_t planes) const {
  AgentPeer peer{.name = place.host, .control = {}, .hosts = {}, .port = ready.port};
  if (place.namespace_index >= 0) {
    peer.hosts = {run::netns_address(place.namespace_index)};
  } else if (place.loopback) {
    peer.hosts = loopback_hosts(planes);
  } else if (planes == 1 && !place.local &&
             net::resolve(net::Address::tcp(place.host, ready.port), net::ResolveFor::kConnect)) {
    peer.hosts = {place.host};
  } else {
    peer.hosts = ready.addresses;
    if (peer.hosts.empty()) peer.hosts = {"127.0.0.1"};
    if (peer.hosts.size() > static_cast<std::size_t>(planes)) peer.hosts.resize(static_cast<std::size_t>(planes));
  }
  if (place.control.empty()) {
    peer.control.planes = {net::Address::tcp(place.local ? std::string("127.0.0.1") : peer.hosts.front(), ready.port)};
  } else if (auto control = net::parse_address(place.control)) {
    peer.control.planes = {*control};
  }
  return peer;
}

Result<> Cluster::wait_until_ready(const ClusterOptions& options, const std::stop_token& stop) {
  const std::string line = key_line(key_);
  const Deadline deadline = Deadline::after(options.timeout);
  std::vector<AgentPeer> started;
  // First to all: each waits for it so long only, and one that starts slowly must not keep it from the others.
  for (AgentProcess& process : processes_) process.send_key(line);
  for (const Place& place : places_) {
    FF_TRY_ASSIGN(const AgentReady ready, processes_[place.process].wait_until_ready(line, deadline, stop));
    started.push_back(peer_of(place, ready, options.planes));
    if (started.back().hosts.size() < static_cast<std::size_t>(options.planes))
      return fail(Errc::kInvalidArgument, fmt::format("--planes {}: peer {} has {} addresses", options.planes,
                                                      place.host, started.back().hosts.size()));
  }
  agents_.insert(agents_.begin(), started.begin(), started.end());
  if (!agents_.empty()) agents_.front().processors = options.first_processors;
  for (std::size_t i = 1; i < agents_.size(); ++i) agents_[i].processors = options.peer_processors;
  return {};
}

Result<> Cluster::connect(const ClusterOptions& options, const std::stop_token& stop) {
  FF_TRY_ASSIGN(env_, runtime::RealEnv::create({}));
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env_, net_options("net-controller", key_)));
  env_->attach_network(std::move(network));
  controller_ = std::make_unique<Controller>(*env_, agents_, options.timeout);
  FF_TRY(run<void>(controller_->describe(), stop));
  return {};
}

Result<std::unique_ptr<Cluster>> Cluster::start(const ClusterOptions& options, const std::stop_token& stop) {
  const auto count =
      options.local + options.netns + static_cast<std::int64_t>(options.hosts.size() + options.peers.size());
  if (count > kAgentsMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("{} agents are more than {} (give fewer hosts)", count, kAgentsMax));
  std::unique_ptr<Cluster> cluster(new Cluster());
  if (options.peers.empty()) {
    cluster->key_ = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
  } else {
    FF_TRY_ASSIGN(cluster->key_, load_key(options.key_file, options.insecure));
    FF_TRY(cluster->add_peers(options));
  }
  if (options.local > 0) FF_TRY(cluster->start_here(options, static_cast<std::size_t>(options.local)));
  if (options.with_local_end) FF_TRY(cluster->start_here(options, 1));
  if (options.netns > 0) FF_TRY(cluster->start_netns(options));
  if (!options.hosts.empty()) FF_TRY(cluster->start_hosts(options));
  FF_TRY(cluster->wait_until_ready(options, stop));
  FF_TRY(cluster->connect(options, stop));
  return cluster;
}

Cluster::~Cluster() {
  if (env_) (void)env_->run(stop_all(*env_, controller_.get()));
  controller_.reset();
  AgentProcess::end(processes_);
  processes_.clear();
  env_.reset();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

}  // namespace ff::bench
