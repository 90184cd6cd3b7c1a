#include "ffs/mgmt/explain.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

std::shared_ptr<const RoutingView> view(PublicState first, bool first_alive, PublicState second) {
  Routing routing;
  routing.set_version(1);
  ChainInfo& chain = *routing.add_chains();
  chain.set_chain(7);
  chain.set_version(2);
  for (std::uint64_t i = 1; i <= 2; ++i) {
    NodeInfo& node = *routing.add_nodes();
    node.set_node(i);
    node.set_alive(i == 2 || first_alive);
    TargetInfo& target = *routing.add_targets();
    target.set_target(i * 10);
    target.set_node(i);
    target.set_chain(7);
    target.set_local(node.alive() ? LOCAL_ONLINE : LOCAL_OFFLINE);
    ChainMember& member = *chain.add_members();
    member.set_target(i * 10);
    member.set_state(i == 1 ? first : second);
  }
  auto made = RoutingView::make(routing);
  return made ? *made : nullptr;
}

TEST(Explain, NamesTheNodeWhoseReturnHelpsBeforeTheLastResort) {
  const auto routing = view(LASTSRV, false, WAITING);
  ASSERT_NE(routing, nullptr);
  const auto text = explain_chain(*routing, ChainId{7});
  ASSERT_TRUE(text.has_value());
  EXPECT_FALSE(text->serves);
  ASSERT_EQ(text->causes.size(), 2u);
  ASSERT_EQ(text->fixes.size(), 2u);
  EXPECT_EQ(text->fixes[0], "start node 1");
  EXPECT_NE(text->fixes[1].find("rotate to target 20"), std::string::npos);
}

TEST(Explain, AChainThatCatchesUpNeedsPatience) {
  const auto text = explain_chain(*view(SERVING, true, SYNCING), ChainId{7});
  ASSERT_TRUE(text.has_value());
  EXPECT_TRUE(text->serves);
  EXPECT_FALSE(text->complete);
  EXPECT_EQ(text->fixes, std::vector<std::string>{"wait"});
}

TEST(Explain, AWholeChainNeedsNothingAndAnUnknownOneIsRefused) {
  const auto routing = view(SERVING, true, SERVING);
  const auto text = explain_chain(*routing, ChainId{7});
  ASSERT_TRUE(text.has_value());
  EXPECT_TRUE(text->complete);
  EXPECT_TRUE(text->fixes.empty());
  EXPECT_EQ(explain_chain(*routing, ChainId{8}).error().code(), Errc::kNotFound);
}

// Chain 7 of targets 10 and 20, both serving, with `change` made to one of them.
template <class F>
ChainExplanation explain_serving(std::uint64_t target, F change) {
  Routing routing = view(SERVING, true, SERVING)->message();
  for (TargetInfo& info : *routing.mutable_targets())
    if (info.target() == target) change(info);
  const auto made = RoutingView::make(routing);
  EXPECT_TRUE(made.has_value());
  const auto text = explain_chain(**made, ChainId{7});
  EXPECT_TRUE(text.has_value() && text->serves && text->complete);
  return *text;
}

TEST(Explain, TroubleOfAMemberThatServesIsToldWithItsRemedy) {
  const ChainExplanation lost = explain_serving(10, [](TargetInfo& target) {
    target.set_trouble("3 chunks are readable on no replica (remove the files); the first: 1.2");
  });
  ASSERT_EQ(lost.causes.size(), 1u);
  EXPECT_EQ(lost.causes[0],
            "target 10 on node 1: serves, but 3 chunks are readable on no replica (remove the files); the first: 1.2");
  EXPECT_EQ(lost.fixes, std::vector<std::string>{"for target 10: remove the files"});

  const ChainExplanation odd = explain_serving(20, [](TargetInfo& target) { target.set_trouble("EIO"); });
  ASSERT_EQ(odd.fixes.size(), 1u);
  EXPECT_EQ(odd.fixes[0].find("repair the disk of target 20, or replace the target by another"), 0u);
  // What others answered is no advice.
  const ChainExplanation nested = explain_serving(20, [](TargetInfo& target) {
    target.set_trouble("chunk 1.2: no other replica has it; target 10: gone (try again)");
  });
  EXPECT_EQ(nested.fixes, odd.fixes);
}

TEST(Explain, OnlyAFullHeadKeepsWritesOut) {
  const auto fill = [](std::uint64_t used) {
    return [used](TargetInfo& target) {
      target.set_capacity_bytes(100u << 20);
      target.set_used_bytes(used << 20);
    };
  };
  // The head keeps a twentieth free: 5 MiB of 100.
  EXPECT_TRUE(explain_serving(10, fill(95)).causes.empty());
  const ChainExplanation full = explain_serving(10, fill(96));
  ASSERT_EQ(full.causes.size(), 1u);
  EXPECT_NE(full.causes[0].find("takes no writes"), std::string::npos);
  EXPECT_EQ(full.fixes.size(), 1u);
  EXPECT_TRUE(explain_serving(20, fill(96)).causes.empty()) << "it follows the head";
}

TEST(Explain, OfAMemberThatLeavesItTellsWhatItWaitsFor) {
  const ChainExplanation alone = explain_serving(10, [](TargetInfo& target) { target.set_draining(true); });
  ASSERT_EQ(alone.causes.size(), 1u);
  EXPECT_NE(alone.causes[0].find("target 10 on node 1: leaves the chain; waits for a spare target"), std::string::npos);
  EXPECT_EQ(alone.fixes, std::vector<std::string>{"wait"});
  const ChainExplanation replaced = explain_serving(10, [](TargetInfo& target) {
    target.set_draining(true);
    target.set_replacement(20);
  });
  ASSERT_EQ(replaced.causes.size(), 1u);
  EXPECT_NE(replaced.causes[0].find("target 20 takes its place when 2 others serve, 1 do"), std::string::npos)
      << replaced.causes[0];
}

TEST(Explain, AMemberThatStillServesAgainstAnAdministratorsWishIsNamed) {
  const ChainExplanation text = explain_serving(20, [](TargetInfo& target) { target.set_set_offline(true); });
  ASSERT_EQ(text.causes.size(), 1u);
  EXPECT_EQ(text.fixes, std::vector<std::string>{"set target 20 online again"});
}

}  // namespace
}  // namespace ff::ffs
