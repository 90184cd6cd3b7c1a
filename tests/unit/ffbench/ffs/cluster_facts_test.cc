// What a document says of a file system, from a routing that is known.
#include "ffbench/ffs/cluster_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ff::bench {
namespace {

// Three nodes, of which the last may be gone; chain 1 of all three, chain 2 of the first two.
ClusterFacts facts(bool whole) {
  ffs::Routing routing;
  routing.set_version(5);
  routing.set_cluster(std::string("\x01\x02\xff", 3) + std::string(13, '\0'));
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ffs::NodeInfo& node = *routing.add_nodes();
    node.set_node(id);
    node.add_roles(ffs::ROLE_STORED);
    node.add_addresses("127.0.0.1:" + std::to_string(9600 + id));
    node.set_alive(whole || id < 3);
    for (std::uint64_t chain = 1; chain <= (id < 3 ? 2u : 1u); ++chain) {
      ffs::TargetInfo& target = *routing.add_targets();
      target.set_target(id * 10 + chain);
      target.set_node(id);
      target.set_chain(chain);
      target.set_state(whole || id < 3 ? ffs::SERVING : ffs::OFFLINE);
    }
  }
  for (std::uint64_t id = 1; id <= 2; ++id) {
    ffs::ChainInfo& chain = *routing.add_chains();
    chain.set_chain(id);
    chain.set_version(1);
    for (std::uint64_t node = 1; node <= (id == 1 ? 3u : 2u); ++node) {
      ffs::ChainMember& member = *chain.add_members();
      member.set_target(node * 10 + id);
      member.set_state(whole || node < 3 ? ffs::SERVING : ffs::OFFLINE);
    }
  }
  const auto view = ffs::RoutingView::make(routing);
  EXPECT_TRUE(view) << view.error().message();
  return facts_of(**view);
}

std::int64_t number(const Fields& fields, const std::string& name) {
  const auto found = std::ranges::find(fields, name, [](const auto& field) { return field.first; });
  EXPECT_NE(found, fields.end()) << name;
  return found == fields.end() ? -1 : std::get<std::int64_t>(found->second);
}

TEST(ClusterFacts, CountWhatTheRoutingSays) {
  const ClusterFacts whole = facts(true);
  EXPECT_EQ(whole.cluster, "0102ff00000000000000000000000000");
  EXPECT_EQ(whole.nodes, 3u);
  EXPECT_EQ(whole.nodes_alive, 3u);
  EXPECT_EQ(whole.storage_nodes, 3u);
  EXPECT_EQ(whole.chains, 2u);
  EXPECT_EQ(whole.replicas_meant, 3u);
  EXPECT_EQ(whole.replicas_most, 3u);
  EXPECT_EQ(whole.replicas_least, 2u);  // chain 2 has no more
  const ClusterFacts degraded = facts(false);
  EXPECT_EQ(degraded.nodes, 3u);
  EXPECT_EQ(degraded.nodes_alive, 2u);
  EXPECT_EQ(degraded.storage_nodes, 2u);
  EXPECT_EQ(degraded.replicas_meant, 3u);
  EXPECT_EQ(degraded.replicas_most, 2u);
}

TEST(ClusterFacts, StandInTheDocumentWithTheLayoutWhereItIsKnown) {
  Document document;
  note_cluster(document, facts(true), LayoutFacts{.chunk_bytes = 65536, .stripe = 2});
  ASSERT_EQ(document.machine.size(), 1u);
  EXPECT_EQ(document.machine[0].name, "ffs");
  EXPECT_EQ(number(document.machine[0].fields, "nodes"), 3);
  EXPECT_EQ(number(document.machine[0].fields, "replicas"), 3);
  EXPECT_EQ(number(document.machine[0].fields, "chunk_bytes"), 65536);
  EXPECT_EQ(number(document.machine[0].fields, "stripe"), 2);
  Document other;
  note_cluster(other, facts(true), {});
  EXPECT_TRUE(std::ranges::none_of(other.machine[0].fields, [](const auto& field) { return field.first == "stripe"; }));
}

TEST(ClusterFacts, MissingReplicasAreAWarning) {
  ClusterFacts facts{.replicas_least = 3, .replicas_most = 3, .replicas_meant = 3};
  Document document;
  note_cluster(document, facts, {});
  EXPECT_TRUE(document.warnings.empty());
  facts.replicas_least = 1;
  note_cluster(document, facts, {});
  ASSERT_EQ(document.warnings.size(), 1u);
  EXPECT_NE(document.warnings[0].find("1 of 3 replicas"), std::string::npos) << document.warnings[0];
}

}  // namespace
}  // namespace ff::bench
