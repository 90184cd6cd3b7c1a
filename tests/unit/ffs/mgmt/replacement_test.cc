#include "ffs/mgmt/replacement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ffs/mgmt/manager_plan.hpp"

namespace ff::ffs {
namespace {

using ::testing::HasSubstr;
using Kind = ReplacementStep::Kind;

constexpr std::uint64_t kMiB = 1u << 20;

// Nodes 1 to `nodes`, each on a machine of its own. Target numbers are node * 4096 + index, as if a node were a disk.
struct World {
  Routing routing;

  explicit World(std::uint64_t nodes) {
    for (std::uint64_t n = 1; n <= nodes; ++n) {
      NodeInfo& node = *routing.add_nodes();
      node.set_node(n);
      node.set_alive(true);
      node.set_host("h" + std::to_string(n));
    }
  }
  static std::uint64_t id(std::uint64_t node, std::uint64_t index) { return node << 12 | index; }

  std::uint64_t spare(std::uint64_t node, std::uint64_t index, std::uint64_t capacity = 100 * kMiB) {
    TargetInfo& info = *routing.add_targets();
    info.set_target(id(node, index));
    info.set_node(node);
    info.set_local(LOCAL_ONLINE);
    info.set_capacity_bytes(capacity);
    return info.target();
  }
  // Of first targets: number 1 of each node named, and so on.
  void chain(std::uint64_t number, std::vector<std::uint64_t> nodes) {
    ChainInfo& info = *routing.add_chains();
    info.set_chain(number);
    info.set_version(1);
    for (const std::uint64_t node : nodes) join(number, spare(node, number), SERVING);
  }
  void join(std::uint64_t number, std::uint64_t id, PublicState state) {
    for (ChainInfo& chain : *routing.mutable_chains()) {
      if (chain.chain() != number) continue;
      ChainMember& member = *chain.add_members();
      member.set_target(id);
      member.set_state(state);
      chain.add_preferred_order(id);
    }
    target(id).set_chain(number);
  }
  TargetInfo& target(std::uint64_t id) {
    for (TargetInfo& info : *routing.mutable_targets())
      if (info.target() == id) return info;
    throw std::logic_error("no such target");
  }
  NodeInfo& node(std::uint64_t id) { return *routing.mutable_nodes(static_cast<int>(id) - 1); }
  void set(std::uint64_t id, PublicState state) {
    for (ChainInfo& chain : *routing.mutable_chains())
      for (ChainMember& member : *chain.mutable_members())
        if (member.target() == id) member.set_state(state);
  }
  std::optional<ReplacementStep> next(std::size_t at_once = 16) const { return Replacements(routing).next(at_once); }
  ManagerState state() const {
    ManagerState out;
    for (const NodeInfo& node : routing.nodes()) out.nodes[node.node()] = node;
    for (const TargetInfo& target : routing.targets()) out.targets[target.target()] = target;
    for (const ChainInfo& chain : routing.chains()) out.chains[chain.chain()] = chain;
    return out;
  }
  // What the manager stores becomes what is.
  void take(const Result<ManagerChange>& change) {
    ASSERT_TRUE(change) << change.error().message();
    ManagerState after = state();
    apply(after, *change, 2);
    routing.clear_nodes();
    routing.clear_targets();
    routing.clear_chains();
    for (const auto& [id, node] : after.nodes) *routing.add_nodes() = node;
    for (const auto& [id, target] : after.targets) *routing.add_targets() = target;
    for (const auto& [id, chain] : after.chains) *routing.add_chains() = chain;
  }
  Result<ManagerChange> ask(Drain drain, std::uint64_t id, std::uint64_t replacement = 0) const {
    SetTargetRequest request;
    request.set_target(id);
    request.set_drain(drain);
    request.set_replacement(replacement);
    return plan_set_target(state(), request, Replacements(routing));
  }
  Result<ManagerChange> ask_node(Drain drain, std::uint64_t id) const {
    SetNodeRequest request;
    request.set_node(id);
    request.set_drain(drain);
    return plan_set_node(state(), request, true, Replacements(routing));
  }
  void step() {
    const auto todo = next();
    ASSERT_TRUE(todo.has_value());
    take(plan_step(state(), *todo));
  }
};

constexpr std::uint64_t kOld = 1u << 12 | 1, kNew = 4u << 12 | 9;

TEST(Replacements, AnotherServesBeforeAMemberLeaves) {
  World world(4);
  world.chain(1, {1, 2, 3});
  EXPECT_EQ(world.next(), std::nullopt);
  world.spare(4, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kAdd, 1, kOld, kNew}));
  world.step();
  EXPECT_EQ(world.routing.chains(0).members_size(), 4);
  EXPECT_EQ(world.routing.chains(0).version(), 2u);
  EXPECT_EQ(world.routing.chains(0).preferred_order(1), kNew) << "in the place of the old one";
  for (const PublicState state : {OFFLINE, WAITING, SYNCING}) {
    world.set(kNew, state);
    EXPECT_EQ(world.next(), std::nullopt) << PublicState_Name(state);
  }
  world.set(kNew, SERVING);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kStop, 1, kOld, kNew}));
  world.step();
  EXPECT_EQ(world.next(), std::nullopt) << "its process still serves it";
  world.set(kOld, OFFLINE);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kRemove, 1, kOld, kNew}));
  world.step();
  EXPECT_EQ(world.routing.chains(0).members_size(), 3);
  EXPECT_EQ(world.target(kOld).chain(), 0u);
  EXPECT_TRUE(world.target(kOld).draining()) << "it gets no other place";
  EXPECT_FALSE(world.target(kOld).leaving());
  EXPECT_EQ(world.next(), std::nullopt);
}

TEST(Replacements, NoCopyIsGivenUpForADrain) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  world.step();
  world.set(kNew, SERVING);
  world.set(World::id(2, 1), OFFLINE);
  EXPECT_EQ(world.next(), std::nullopt) << "three are wanted, and without it two would serve";
  world.set(World::id(2, 1), SERVING);
  world.step();
  world.set(kOld, OFFLINE);
  world.set(World::id(2, 1), OFFLINE);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kReturn, 1, kOld, kNew})) << "it is needed again";
  world.step();
  EXPECT_FALSE(world.target(kOld).leaving());
  EXPECT_EQ(world.next(), std::nullopt);
}

TEST(Replacements, OfTwoThatLeaveOneChainBothAreReplacedFirst) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask_node(DRAIN_OUT, 1));
  world.take(world.ask_node(DRAIN_OUT, 2));
  world.step();
  world.step();
  EXPECT_EQ(world.routing.chains(0).members_size(), 5);
  EXPECT_EQ(Replacements(world.routing).wanted(world.routing.chains(0)), 3u);
  world.set(World::id(4, 9), SERVING);
  EXPECT_EQ(world.next()->kind, Kind::kStop) << "3, 4 and one of the two go on";
  world.step();
  EXPECT_EQ(world.next(), std::nullopt) << "2, 3 and 4 would be two without the other";
  world.set(World::id(5, 9), SERVING);
  EXPECT_EQ(world.next()->kind, Kind::kStop);
}

TEST(Replacements, AMemberThatIsDeadIsReplacedToo) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.node(1).set_alive(false);
  world.set(kOld, OFFLINE);
  world.take(world.ask_node(DRAIN_OUT, 1));
  world.step();
  EXPECT_EQ(world.next(), std::nullopt);
  world.set(kNew, SERVING);
  EXPECT_EQ(world.next()->kind, Kind::kRemove);
}

TEST(Replacements, TheLastCompleteCopyStays) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.set(kOld, LASTSRV);
  world.set(World::id(2, 1), OFFLINE);
  world.set(World::id(3, 1), OFFLINE);
  EXPECT_THAT(world.ask(DRAIN_OUT, kOld).error().message(), HasSubstr("last complete copy"));
  EXPECT_THAT(world.ask_node(DRAIN_OUT, 1).error().message(), HasSubstr("last complete copy"));
  EXPECT_THAT(world.ask(DRAIN_OUT, World::id(2, 1)).error().message(), HasSubstr("does not serve"));
}

TEST(Replacements, MachinesRoomAndContentAreRespected) {
  World world(4);
  world.chain(1, {1, 2, 3});
  const auto refused = [&] { return world.ask(DRAIN_OUT, kOld).error().message(); };
  EXPECT_THAT(refused(), HasSubstr("there is no spare target"));
  world.spare(2, 9);
  EXPECT_THAT(refused(), HasSubstr("1 are on machines of the chain"));
  EXPECT_THAT(refused(), HasSubstr("cluster.spares_per_folder"));
  // 92 MiB and the twentieth that a head keeps free do not fit into 95, but into 97 of 100.
  world.spare(4, 9);
  world.target(World::id(3, 1)).set_used_bytes(92 * kMiB);
  world.target(kNew).set_used_bytes(5 * kMiB);
  EXPECT_THAT(refused(), HasSubstr("1 are too small"));
  EXPECT_EQ(world.ask(DRAIN_OUT, kOld).error().code(), Errc::kExhausted);
  world.target(kNew).set_used_bytes(3 * kMiB);
  EXPECT_TRUE(world.ask(DRAIN_OUT, kOld));
  world.target(kNew).set_chunks(1);
  EXPECT_THAT(refused(), HasSubstr("1 cannot be used"));
  world.target(kNew).set_chunks(0);
  world.node(4).set_disabled(true);
  EXPECT_THAT(refused(), HasSubstr("1 cannot be used"));
  world.node(4).set_disabled(false);
  // The old one's own machine will do, but not that of another node there unless machines are shared.
  world.node(4).set_host("h2");
  EXPECT_FALSE(world.ask(DRAIN_OUT, kOld));
  EXPECT_TRUE(Replacements(world.routing, true).check({kOld}));
  world.node(4).set_host("h1");
  EXPECT_TRUE(world.ask(DRAIN_OUT, kOld));
}

TEST(Replacements, APlaceIsFoundForAllIfThereIsAWay) {
  // Both chains could take the spare target of node 4; chain 1 alone could take that of node 5.
  World world(5);
  world.chain(1, {1, 2, 3});
  world.chain(2, {1, 2, 5});
  world.spare(4, 9);
  world.spare(5, 9);
  EXPECT_TRUE(world.ask_node(DRAIN_OUT, 1));
  world.node(5).set_disabled(true);
  const auto refused = world.ask_node(DRAIN_OUT, 1);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("1 are taken by others that leave"));
  world.node(5).set_disabled(false);
  world.take(world.ask_node(DRAIN_OUT, 1));
  world.step();
  world.step();
  EXPECT_EQ(world.target(World::id(1, 1)).replacement(), World::id(5, 9));
  EXPECT_EQ(world.target(World::id(1, 2)).replacement(), World::id(4, 9));
}

TEST(Replacements, DisksWithFewMembersAreTakenFirst) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.chain(2, {2, 3, 4});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  EXPECT_EQ(world.next()->replacement, World::id(5, 9));
}

TEST(Replacements, OnlySoManyCatchUpAtOnce) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.chain(2, {1, 2, 3});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask_node(DRAIN_OUT, 1));
  world.step();
  EXPECT_EQ(world.next(1), std::nullopt);
  EXPECT_NE(world.next(2), std::nullopt);
}

TEST(Replacements, OneThatDiesBeforeItServesIsReplacedItself) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  world.step();
  world.node(4).set_alive(false);
  EXPECT_EQ(world.next(), std::nullopt) << "there is no other";
  world.spare(5, 9);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kGiveUp, 1, kOld, kNew}));
  world.step();
  EXPECT_EQ(world.target(kNew).chain(), 0u);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kAdd, 1, kOld, World::id(5, 9)}));
}

TEST(Replacements, AReplacementThatHasToGoItselfIsReplaced) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask(DRAIN_OUT, kOld, kNew));
  world.step();
  world.set(kNew, WAITING);
  world.take(world.ask_node(DRAIN_OUT, 4));
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kStop, 1, kNew, 0})) << "three serve without it";
  world.step();
  world.set(kNew, OFFLINE);
  EXPECT_EQ(world.next()->kind, Kind::kRemove);
  world.step();
  EXPECT_EQ(world.routing.chains(0).replicas(), 3u);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kAdd, 1, kOld, World::id(5, 9)}));
  world.step();
  world.set(World::id(5, 9), SERVING);
  EXPECT_EQ(world.next()->target, kOld);
}

// A replacement serves, so the first of two that leave goes; the other one still needs its own.
TEST(Replacements, WhoeverLeavesLastIsReplacedAsWell) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  world.step();
  world.set(kNew, SERVING);
  world.set(World::id(3, 1), OFFLINE);
  world.take(world.ask_node(DRAIN_OUT, 3));
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kRemove, 1, World::id(3, 1), 0})) << "1, 2 and 4 serve";
  world.step();
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kAdd, 1, kOld, World::id(5, 9)})) << "2 and 4 stay";
}

TEST(Replacements, MembersAddedAndRemovedByHandCount) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.spare(5, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  world.step();
  const auto by_hand = [&](UpdateChainRequest::Change change, std::uint64_t id) {
    UpdateChainRequest request;
    request.set_chain(1);
    request.set_change(change);
    request.set_target(id);
    world.take(plan_update(world.state(), world.routing.chains(0), {}, request));
  };
  by_hand(UpdateChainRequest::ADD, World::id(5, 9));
  EXPECT_EQ(world.routing.chains(0).replicas(), 4u);
  by_hand(UpdateChainRequest::REMOVE, World::id(5, 9));
  EXPECT_EQ(world.routing.chains(0).replicas(), 3u);
  world.set(kOld, OFFLINE);
  by_hand(UpdateChainRequest::REMOVE, kOld);
  EXPECT_EQ(world.routing.chains(0).replicas(), 3u) << "another has come in its place";
  EXPECT_FALSE(plan_update(world.state(), world.routing.chains(0), {},
                           [] {
                             UpdateChainRequest request;
                             request.set_chain(1);
                             request.set_change(UpdateChainRequest::ADD);
                             request.set_target(kOld);
                             return request;
                           }()))
      << "it is drained";
}

TEST(Replacements, ANamedOneMustBeFit) {
  World world(5);
  world.chain(1, {1, 2, 3});
  world.chain(2, {1, 2, 3});
  world.spare(2, 9);
  world.spare(4, 9);
  world.spare(5, 9);
  const auto why = [&](std::uint64_t replacement) { return world.ask(DRAIN_OUT, kOld, replacement).error().message(); };
  EXPECT_THAT(why(World::id(2, 9)), HasSubstr("on the machine of target"));
  EXPECT_THAT(why(World::id(3, 1)), HasSubstr("is of chain 1"));
  EXPECT_THAT(why(777), HasSubstr("no node has it"));
  world.take(world.ask(DRAIN_OUT, World::id(1, 2), kNew));
  EXPECT_THAT(why(kNew), HasSubstr("takes the place of another"));
  world.take(world.ask(DRAIN_OUT, kOld, World::id(5, 9)));
  world.step();
  world.step();
  EXPECT_EQ(world.target(kOld).replacement(), World::id(5, 9));
  EXPECT_EQ(world.target(World::id(1, 2)).replacement(), kNew);
  EXPECT_EQ(world.ask(DRAIN_OUT, kOld, World::id(2, 9)).error().code(), Errc::kAlreadyExists);
  EXPECT_TRUE(world.ask(DRAIN_OUT, kOld, World::id(5, 9))->empty()) << "asked for again";
}

TEST(Replacements, WhatIsUndoneLeavesTheChainAsItWas) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.take(world.ask_node(DRAIN_OUT, 1));
  world.step();
  world.set(kNew, SYNCING);
  world.take(world.ask_node(DRAIN_UNDO, 1));
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kStop, 1, kNew, kOld}));
  world.step();
  world.set(kNew, OFFLINE);
  EXPECT_EQ(world.next()->kind, Kind::kRemove);
  world.step();
  EXPECT_EQ(world.routing.chains(0).members_size(), 3);
  EXPECT_EQ(world.target(kOld).chain(), 1u);
  EXPECT_FALSE(Replacements(world.routing).any());
  EXPECT_THAT(world.ask(DRAIN_OUT, kOld).error().message(), HasSubstr("no spare target"))
      << "the one that began is drained, for it is not empty";
}

TEST(Replacements, TheOldOneOfTwoThatServeStaysWhenItIsUndone) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.take(world.ask(DRAIN_OUT, kOld));
  world.step();
  world.set(kNew, SERVING);
  world.step();
  world.set(kOld, OFFLINE);  // it was just being stopped
  world.take(world.ask(DRAIN_UNDO, kOld));
  EXPECT_EQ(world.next(), std::nullopt) << "the new one is needed until the old one is back";
  world.set(kOld, SERVING);
  EXPECT_EQ(world.next(), (ReplacementStep{Kind::kStop, 1, kNew, kOld}));
}

TEST(Replacements, ATargetOfADrainedNodeIsUndrainedWithItsNode) {
  World world(4);
  world.chain(1, {1, 2, 3});
  world.spare(4, 9);
  world.take(world.ask_node(DRAIN_OUT, 1));
  EXPECT_THAT(world.ask(DRAIN_UNDO, kOld).error().message(), HasSubstr("ffs node undrain 1"));
  EXPECT_TRUE(world.ask_node(DRAIN_OUT, 1)->empty());
  EXPECT_EQ(world.ask_node(DRAIN_OUT, 9).error().code(), Errc::kNotFound);
  EXPECT_EQ(world.ask(DRAIN_OUT, 999).error().code(), Errc::kNotFound);
}

}  // namespace
}  // namespace ff::ffs
