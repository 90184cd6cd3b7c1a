#include "ffs/cmd/chain_plan.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ffs/daemon/daemon.hpp"

namespace ff::ffs {
namespace {

ClusterFile cluster(std::string_view keys, std::string_view nodes) {
  const auto file = parse_cluster_file(
      "cluster:\n  id: 000102030405060708090a0b0c0d0e0f\n" + std::string(keys) + "nodes:\n" + std::string(nodes),
      "test", "/x");
  EXPECT_TRUE(file) << file.error().message();
  return file ? *file : ClusterFile();
}

TEST(ChainPlan, UsesEachTargetOnceAndNoMachineTwiceInAChain) {
  const ClusterFile file =
      cluster("  chains_per_folder: 6\n",
              "  - 1 a:1 mgmtd,metad,stored d0 d1\n  - 2 b:1 stored d0 d1\n  - 3 c:1 stored d0 d1\n"
              "  - 4 d:1 stored d0 d1\n");
  const auto plan = plan_chains(file);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->chains.size(), 16u) << "48 targets, three a chain";
  std::set<TargetId> used;
  for (const auto& chain : plan->chains) {
    ASSERT_EQ(chain.size(), 3u);
    std::set<std::uint64_t> nodes;
    for (const TargetId target : chain) {
      EXPECT_TRUE(used.insert(target).second);
      nodes.insert(number(target) >> 24);
    }
    EXPECT_EQ(nodes.size(), 3u);
  }
  EXPECT_EQ(used.size(), 48u);
}

TEST(ChainPlan, FollowsFromTheFileAlone) {
  const ClusterFile file =
      cluster("  one_host: true\n  chains_per_folder: 3\n",
              "  - 1 127.0.0.1:1 mgmtd,metad,stored d1\n  - 2 127.0.0.1:2 stored d2\n  - 3 127.0.0.1:3 stored d3\n");
  const auto one = plan_chains(file), other = plan_chains(file);
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->chains, other->chains);
  const InstallChainsRequest request = install_request(file, *one);
  EXPECT_EQ(request.chains_size(), 3);
  EXPECT_EQ(request.targets_size(), 9);
  EXPECT_EQ(request.table().chains_size(), 3);
}

TEST(ChainPlan, SpareTargetsAreInNoChainAndChangeNone) {
  const char* const nodes = "  - 1 a:1 mgmtd,metad,stored d0 d1\n  - 2 b:1 stored d0 d1\n  - 3 c:1 stored d0 d1\n";
  const ClusterFile file = cluster("  chains_per_folder: 2\n", nodes);
  const ClusterFile spare = cluster("  chains_per_folder: 2\n  spares_per_folder: 3\n", nodes);
  ASSERT_EQ(target_folders(file, file.nodes[0]).size(), 4u);
  ASSERT_EQ(target_folders(spare, spare.nodes[0]).size(), 10u);
  // What was there keeps its number and place when spare targets are asked for later.
  EXPECT_EQ(target_folders(spare, spare.nodes[0])[5].target, target_folders(file, file.nodes[0])[2].target);
  const auto plan = plan_chains(file), with_spares = plan_chains(spare);
  ASSERT_TRUE(plan && with_spares);
  EXPECT_EQ(plan->chains, with_spares->chains);
}

TEST(ChainPlan, SaysWhenCopiesHaveNoRoom) {
  const char* const two =
      "  - 1 10.0.0.1:1 mgmtd,metad,stored d\n  - 2 10.0.0.1:2 stored d\n  - 3 10.0.0.1:3 stored d\n";
  EXPECT_FALSE(plan_chains(cluster("", two))) << "one machine";
  EXPECT_TRUE(plan_chains(cluster("  one_host: true\n", two)));
  EXPECT_FALSE(plan_chains(cluster("  one_host: true\n  replicas: 4\n", two)));
}

}  // namespace
}  // namespace ff::ffs
