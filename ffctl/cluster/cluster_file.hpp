// The file that `ffctl up -f` brings up: hosts that ssh reaches, what each of them runs, and where. Its keys are in
// ffctl(1), configs/cluster-three-hosts.yaml is an example.
// Threads: pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/config/schema.hpp"

namespace ff::ctl {

inline constexpr std::size_t kHostsMax = 20'000;

struct ClusterHost {
  std::string name, address;
  bool master = false, node = false;
  std::string ssh_user, ssh_host;  // whom ssh is told; the user may be empty
  std::uint16_t ssh_port = 22;
  std::int64_t gpus = -1;  // -1: those that it has
  bool fake_gpus = false;
  std::string zone, leaf, folder;  // folder: absolute
  std::vector<std::string> labels;
};

struct ClusterPlan {
  std::string path;  // of the file
  std::string name, binaries, ffs, store, policy;
  std::string key_file;  // here; absolute
  std::uint16_t master_port = 0, node_port = 0;
  std::chrono::nanoseconds min_run{}, connect_timeout{}, timeout{};
  std::size_t at_once = 1;
  std::vector<std::string> ssh_options;
  std::vector<ClusterHost> hosts;
};

const config::Schema& cluster_schema();

// kNotFound, kInvalidArgument ("cluster.yaml:12: hosts: …").
Result<ClusterPlan> load_cluster(const std::string& path);
// `folder`: which relative paths are taken from.
Result<ClusterPlan> parse_cluster(std::string_view text, const std::string& name, const std::string& folder);

// "10.0.0.1:9500,10.0.0.2:9500"
std::string master_addresses(const ClusterPlan& plan);

}  // namespace ff::ctl
