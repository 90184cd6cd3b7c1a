#include "ffctl/node/command.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <string_view>

#include "ffctl/node/agent.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/log/log.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ctl {

using runtime::Task;

namespace {

struct Arguments {
  std::string masters, key, name, listen = "127.0.0.1:0", host, folder = "/var/lib/ffnoded", zone, leaf, gpu_model,
                                  cgroup, ffbench;
  std::vector<std::string> labels;
  std::int64_t gpus = -1;
  bool fake_gpus = false, no_cgroups = false;
  cli::Duration heartbeat = std::chrono::seconds(2), log_keep = std::chrono::hours(24 * 7);
  cli::ByteSize log_limit{std::uint64_t{1} << 30};
};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

// /dev/nvidia0, /dev/nvidia1, ...
std::uint32_t count_gpus() {
  std::uint32_t count = 0;
  if (DIR* const folder = ::opendir("/dev"); folder != nullptr) {
    while (const dirent* entry = ::readdir(folder)) {
      const std::string_view name = entry->d_name;
      if (!name.starts_with("nvidia")) continue;
      const std::string_view number = name.substr(6);
      count += !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }) ? 1 : 0;
    }
    ::closedir(folder);
  }
  return count;
}

Result<std::string> own_executable() {
  std::array<char, PATH_MAX> path{};
  const ssize_t got = ::readlink("/proc/self/exe", path.data(), path.size());
  if (got <= 0) return fail(errno_error("/proc/self/exe"));
  return std::string(path.data(), static_cast<std::size_t>(got));
}

// Where it is in a build folder, and where it is installed.
Result<std::string> find_ffrank(const std::string& executable) {
  const std::string folder = executable.substr(0, executable.rfind('/'));
  for (const char* place : {"/ffrank", "/../libexec/fire-flyer/ffrank"})
    if (::access((folder + place).c_str(), X_OK) == 0) return folder + place;
  return fail(
      Errc::kNotFound,
      fmt::format("ffrank: is neither in {0} nor in {0}/../libexec/fire-flyer (install it beside ffnoded)", folder));
}

Result<std::string> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0711) != 0 && errno != EEXIST) return fail(errno_error("--folder: " + path));
  std::array<char, PATH_MAX> full{};
  if (::realpath(path.c_str(), full.data()) == nullptr) return fail(errno_error("--folder: " + path));
  return std::string(full.data());
}

Result<> check_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (!name.empty() && name.size() <= 255 && name.front() != '.' && std::ranges::all_of(name, allowed)) return {};
  return fail(Errc::kInvalidArgument, fmt::format("--name: '{}' (use letters, digits, '.', '_' and '-')", name));
}

Result<std::vector<net::PeerAddress>> parse_masters(const std::string& text) {
  std::vector<net::PeerAddress> masters;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    FF_TRY_ASSIGN(const net::Address address, net::parse_address(std::string_view(text).substr(at, comma - at)));
    masters.push_back({{address}});
    at = comma + 1;
  }
  return masters;
}

Result<AgentOptions> options_from(const Arguments& a) {
  AgentOptions o;
  o.name = a.name.empty() ? host_name() : a.name;
  FF_TRY(check_name(o.name));
  FF_TRY_ASSIGN(o.folder, make_folder(a.folder));
  FF_TRY_ASSIGN(o.executable, own_executable());
  FF_TRY_ASSIGN(o.ffrank, find_ffrank(o.executable));
  FF_TRY_ASSIGN(o.masters, parse_masters(a.masters));
  FF_TRY_ASSIGN(o.listen, net::parse_address(a.listen));
  o.host = a.host.empty() && o.listen.host.empty() ? host_name() : a.host;
  FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::load(a.key));
  o.key = std::make_shared<const net::ClusterKey>(std::move(key));
  o.gpus = a.gpus < 0 ? count_gpus() : static_cast<std::uint32_t>(a.gpus);
  o.gpu_model = a.gpu_model;
  o.fake_gpus = a.fake_gpus;
  o.labels = a.labels;
  o.zone = a.zone;
  o.leaf = a.leaf;
  o.heartbeat = a.heartbeat;
  o.log_bytes = a.log_limit.bytes;
  o.log_keep = a.log_keep;
  o.cgroups = !a.no_cgroups;
  o.cgroup_base = a.cgroup;
  o.ffbench = a.ffbench;
  return o;
}

Task<Result<>> serve(runtime::RealEnv& env, const AgentOptions& options) {
  Agent agent(env, options);
  Result<> result = co_await agent.start();
  if (result) {
    fmt::print(stderr, "ffnoded: {}\n", agent.about());
    runtime::Event never;
    (void)co_await never.wait();  // until a signal cancels it
  }
  co_await agent.stop();
  co_await env.network().stop();
  co_return result;
}

Result<int> run(const Arguments& arguments) {
  FF_TRY_ASSIGN(const AgentOptions options, options_from(arguments));
  // Two agents over one folder would each start the same ranks. Held until this process ends; not inherited by ranks.
  const UniqueFd lock(::open(options.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return fail(errno_error(options.folder));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::kUnavailable, options.folder + ": another agent serves it (stop that one first)");
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({.registered_bytes = 0, .receive_buffers = 64}));
  if (!env->fallback_reason().empty()) log::warn("{}, ignoring", env->fallback_reason());
  net::TcpOptions tcp;
  tcp.endpoint.identity = {.role = "agent", .node_id = 0, .instance_id = env->rng().next() | 1};
  tcp.endpoint.key = options.key;
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, std::move(tcp)));
  env->attach_network(std::move(network));
  const runtime::StopOnSignals signals(*env);
  const Result<> served = env->run(serve(*env, options));
  if (signals.caught() != 0) return 0;
  if (!served) return fail(served.error());
  return 0;
}

cli::Command describe(Arguments& a) {
  cli::Command command;
  command.name = "ffnoded";
  command.summary = "Run the jobs of one node";
  command.description =
      "The agent of a node: it starts the ranks that the leading ffctld tells it, keeps their output, ends them, and "
      "reports. Runs in the foreground until SIGTERM or Ctrl-C; the ranks go on without it, and it finds them again "
      "when "
      "it is started with the same --folder. As root it starts ranks as the users who submitted them, else only its "
      "own.";
  command.options = {
      {.names = "--master",
       .target = &a.masters,
       .help = "where the masters are; the leading one is found",
       .value_name = "HOST:PORT,…",
       .required = true},
      {.names = "--key",
       .target = &a.key,
       .help = "file of the cluster key",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--name", .target = &a.name, .help = "of this node; empty: the host's name"},
      {.names = "--listen",
       .target = &a.listen,
       .help = "where the master reaches this agent; port 0: any",
       .value_name = "HOST:PORT"},
      {.names = "--host",
       .target = &a.host,
       .help = "by which other nodes reach this one; empty: that of --listen",
       .value_name = "HOST"},
      {.names = "--folder",
       .target = &a.folder,
       .help = "what it keeps: attempts, logs; one agent a folder",
       .value_name = "DIR",
       .complete = "dir"},
      {.names = "--gpus",
       .target = &a.gpus,
       .help = "how many GPUs; -1: as many as /dev/nvidiaN",
       .value_name = "N",
       .min = -1,
       .max = 1024},
      {.names = "--fake-gpus", .target = &a.fake_gpus, .help = "say that the GPUs are pretended"},
      {.names = "--gpu-model", .target = &a.gpu_model, .help = "what they are"},
      {.names = "--label",
       .target = &a.labels,
       .help = "that jobs may ask for; may be given several times",
       .value_name = "LABEL"},
      {.names = "--zone", .target = &a.zone, .help = "network zone"},
      {.names = "--leaf", .target = &a.leaf, .help = "leaf switch"},
      {.names = "--heartbeat",
       .target = &a.heartbeat,
       .help = "between reports when nothing happens",
       .min = 0.05,
       .max = 3600},
      {.names = "--log-limit",
       .target = &a.log_limit,
       .help = "output kept of each rank; the oldest goes first",
       .min = 65536},
      {.names = "--log-keep", .target = &a.log_keep, .help = "how long logs of ended jobs are kept"},
      {.names = "--cgroup",
       .target = &a.cgroup,
       .help = "cgroup v2 folder to make groups in; empty: this process's",
       .value_name = "DIR",
       .complete = "dir"},
      {.names = "--no-cgroups", .target = &a.no_cgroups, .help = "make no cgroups: limits are not enforced"},
      {.names = "--ffbench",
       .target = &a.ffbench,
       .help = "program for checks; empty: beside this one, or in PATH",
       .value_name = "FILE",
       .complete = "file"},
  };
  command.examples = {
      {"ffnoded --master ctl1:7200,ctl2:7200 --key /etc/fire-flyer/key --listen '*:7201'", "the agent of a node"},
      {"ffnoded --master 127.0.0.1:7200 --key key --name fake3 --folder nodes/3 --gpus 8 --fake-gpus",
       "one of several on a machine"}};
  command.exit_codes = {{0, "asked to stop"}};
  command.run = [&a] { return run(a); };
  return command;
}

}  // namespace

int run_ffnoded(int argc, char** argv) {
  Arguments arguments;
  cli::App app;
  app.root = describe(arguments);
  return cli::run(std::move(app), argc, argv);
}

}  // namespace ff::ctl
