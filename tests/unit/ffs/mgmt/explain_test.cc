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

}  // namespace
}  // namespace ff::ffs
