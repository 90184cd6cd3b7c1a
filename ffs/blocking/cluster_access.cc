#include "ffs/blocking/cluster_access.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "ffs/meta/user_token.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/real_env.hpp"

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

}  // namespace

std::string cluster_path(const std::string& given) {
  std::error_code ignored;
  return fs::is_directory(given, ignored) ? given + "/cluster.yaml" : given;
}

Result<ClusterFile> find_cluster_file(const std::string& given) {
  if (!given.empty()) return load_cluster_file(cluster_path(given));
  if (const char* const named = std::getenv("FF_CLUSTER"); named != nullptr && *named != '\0')
    return load_cluster_file(cluster_path(named));
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

Result<FileSystemOptions> client_options(const ClusterFile& cluster, std::string what, runtime::Duration timeout,
                                         const std::string& token) {
  FileSystemOptions options;
  options.managers = cluster.managers();
  options.cluster = cluster_bytes(cluster);
  options.caller = this_user();
  const char* const named = std::getenv("FF_FFS_TOKEN_FILE");
  const std::string file = !token.empty() ? token : named == nullptr ? "" : named;
  if (!file.empty()) {
    FF_TRY_ASSIGN(const UserToken shown, UserToken::load(file));
    options.caller.token = shown.bytes();
  }
  options.host = host_name();
  options.what = std::move(what);
  options.timeout = timeout;
  return options;
}

}  // namespace ff::ffs
