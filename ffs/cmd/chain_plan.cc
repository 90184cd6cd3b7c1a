#include "ffs/cmd/chain_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "ffs/daemon/daemon.hpp"
#include "ffs/mgmt/placement.hpp"

namespace ff::ffs {

using report::Cell;
using report::Table;

namespace {

// What stands for one machine when chains are laid out.
std::string host_of(const ClusterFile& cluster, const ClusterNode& node) {
  return cluster.one_host ? fmt::format("node {}", number(node.id)) : node.address.planes.front().host;
}

}  // namespace

Result<ChainPlan> plan_chains(const ClusterFile& cluster) {
  PlacementRequest request;
  request.replicas = cluster.replicas;
  std::map<std::string, std::uint32_t> hosts;
  std::vector<std::vector<TargetId>> left;  // of each disk, the next one last
  for (const ClusterNode& node : cluster.nodes) {
    std::vector<TargetFolder> targets = target_folders(cluster, node);
    const auto host = hosts.emplace(host_of(cluster, node), static_cast<std::uint32_t>(hosts.size())).first->second;
    for (std::size_t first = 0; first < targets.size(); first += cluster.targets_per_folder()) {
      request.disks.push_back({.host = host, .slots = cluster.chains_per_target_folder});
      std::vector<TargetId>& disk = left.emplace_back();
      for (std::size_t i = cluster.chains_per_target_folder; i-- > 0;) disk.push_back(targets[first + i].target);
    }
  }
  auto placed = place(request);
  if (!placed) return fail(std::move(placed).error().context("chains"));
  ChainPlan plan;
  plan.quality = placed->quality.mean > 0 ? placed->quality.max / placed->quality.mean : 1;
  for (const PlacedChain& members : placed->chains) {
    std::vector<TargetId>& chain = plan.chains.emplace_back();
    for (const std::uint32_t disk : members) {
      chain.push_back(left[disk].back());
      left[disk].pop_back();
    }
  }
  if (plan.chains.empty()) return fail(Errc::kInvalidArgument, "chains: none can be made of these nodes (add folders)");
  return plan;
}

InstallChainsRequest install_request(const ClusterFile& cluster, const ChainPlan& plan) {
  InstallChainsRequest request;
  request.set_cluster(cluster_bytes(cluster));
  ChainTable& table = *request.mutable_table();
  table.set_table(number(kDefaultTable));
  table.set_replicas(cluster.replicas);
  for (std::size_t c = 0; c < plan.chains.size(); ++c) {
    ChainInfo& chain = *request.add_chains();
    chain.set_chain(c + 1);
    for (const TargetId target : plan.chains[c]) {
      ChainMember& member = *chain.add_members();
      member.set_target(number(target));
      member.set_state(SERVING);
      chain.add_preferred_order(number(target));
    }
    table.add_chains(c + 1);
  }
  for (const ClusterNode& node : cluster.nodes) {
    for (const TargetFolder& folder : target_folders(cluster, node)) {
      const bool used = std::ranges::any_of(
          plan.chains, [&](const auto& chain) { return std::ranges::find(chain, folder.target) != chain.end(); });
      if (!used) continue;
      TargetInfo& target = *request.add_targets();
      target.set_target(number(folder.target));
      target.set_node(number(node.id));
      target.set_path(folder.path);
    }
  }
  return request;
}

Table plan_table(const ClusterFile& cluster, const ChainPlan& plan) {
  Table table(
      "ff.ffs-plan/1",
      {{.key = "chain", .title = "CHAIN"}, {.key = "targets", .title = "TARGETS"}, {.key = "nodes", .title = "NODES"}});
  table.set_header("quality", plan.quality);
  table.set_header("replicas", static_cast<std::int64_t>(cluster.replicas));
  for (std::size_t c = 0; c < plan.chains.size(); ++c) {
    std::string targets, nodes;
    for (const TargetId target : plan.chains[c]) {
      targets += fmt::format("{}{}", targets.empty() ? "" : " ", number(target));
      nodes += fmt::format("{}{}", nodes.empty() ? "" : " ", number(target) >> 24);
    }
    table.add_row({static_cast<std::int64_t>(c + 1), targets, nodes});
  }
  return table;
}

}  // namespace ff::ffs
