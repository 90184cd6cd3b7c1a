#include "ffs/cmd/session.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "ffs/daemon/daemon.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ffs {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> usual_places() {
  std::vector<std::string> places;
  if (const char* const folder = std::getenv("XDG_CONFIG_HOME"); folder != nullptr && *folder != '\0') {
    places.push_back(std::string(folder) + "/fire-flyer/cluster.yaml");
  } else if (const char* const home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    places.push_back(std::string(home) + "/.config/fire-flyer/cluster.yaml");
  }
  places.emplace_back("/etc/fire-flyer/cluster.yaml");
  return places;
}

Caller this_user() {
  Caller caller{.uid = ::geteuid(), .gid = ::getegid(), .groups = {}};
  std::vector<gid_t> groups(64);
  int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  if (count < 0) {
    count = std::max(::getgroups(0, nullptr), 0);
    groups.resize(static_cast<std::size_t>(count));
    count = std::max(::getgroups(count, groups.data()), 0);
  }
  for (int i = 0; i < count; ++i) caller.groups.push_back(groups[static_cast<std::size_t>(i)]);
  return caller;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

runtime::Task<Result<int>> connect_and_run(runtime::RealEnv& env, FileSystemOptions options, FsBody& body) {
  Result<int> result = 0;
  {
    auto fs = co_await FileSystem::connect(env, std::move(options));
    if (fs) {
      result = co_await body.run(**fs);
      co_await (*fs)->stop();
    } else {
      result = fail(std::move(fs).error());
    }
  }
  co_await env.network().stop();
  co_return result;
}

}  // namespace

void ClusterOptions::add_to(cli::Command& command) {
  command.options.push_back({.names = "--cluster",
                             .target = &cluster_,
                             .help = "description of the file system, or the folder that holds it as cluster.yaml",
                             .value_name = "FILE",
                             .environment = "FF_CLUSTER",
                             .complete = "file"});
  command.options.push_back({.names = "--timeout",
                             .target = &timeout_,
                             .help = "most that one operation may take with all its retries",
                             .min = 0.1,
                             .max = 86400});
}

std::string cluster_path(const std::string& given) {
  std::error_code ignored;
  return fs::is_directory(given, ignored) ? given + "/cluster.yaml" : given;
}

Result<ClusterFile> ClusterOptions::load() const {
  if (!cluster_.empty()) return load_cluster_file(cluster_path(cluster_));
  std::string looked;
  for (const std::string& place : usual_places()) {
    std::error_code ignored;
    if (fs::exists(place, ignored)) return load_cluster_file(place);
    looked += (looked.empty() ? "" : ", ") + place;
  }
  return fail(
      Errc::kNotFound,
      fmt::format(
          "cluster file: none given, none at {} (give --cluster or set FF_CLUSTER; `ffs format --local DIR` makes one)",
          looked));
}

Result<std::unique_ptr<runtime::RealEnv>> make_cluster_env(const ClusterFile& cluster, const std::string& role,
                                                           std::uint64_t node) {
  FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::load(cluster.key_file));
  FF_TRY_ASSIGN(auto env, runtime::RealEnv::create({}));
  net::TcpOptions options;
  options.endpoint.identity = {.role = role, .node_id = node, .instance_id = env->rng().next()};
  options.endpoint.key = std::make_shared<const net::ClusterKey>(std::move(key));
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, std::move(options)));
  env->attach_network(std::move(network));
  return env;
}

Result<int> run_with_file_system(const ClusterOptions& options, std::string what, FsBody& body) {
  FF_TRY_ASSIGN(const ClusterFile cluster, options.load());
  FF_TRY_ASSIGN(const auto env, make_cluster_env(cluster, "client", 0));
  const runtime::StopOnSignals signals(*env);
  FileSystemOptions about;
  about.managers = cluster.managers();
  about.cluster = cluster_bytes(cluster);
  about.caller = this_user();
  about.host = host_name();
  about.what = std::move(what);
  about.timeout = options.timeout();
  Result<int> result = env->run(connect_and_run(*env, std::move(about), body));
  if (signals.caught() != 0) return 128 + signals.caught();
  return result;
}

Result<> print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail(errno_error("standard output"));
  return {};
}

}  // namespace ff::ffs
