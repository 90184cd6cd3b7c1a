// The state function of chains: every combination of states for up to four members, one step; and for three members
// everything that can be reached from a new chain by any sequence of events, with a model of which members are
// complete.
#include "ffs/mgmt/chain_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>

namespace ff::ffs {
namespace {

constexpr std::array kPublic = {SERVING, LASTSRV, SYNCING, WAITING, OFFLINE};
constexpr std::array kLocal = {LOCAL_NONE, LOCAL_OFFLINE, LOCAL_ONLINE, LOCAL_UPTODATE};

std::size_t count(std::span<const Member> members, PublicState state) {
  return static_cast<std::size_t>(std::ranges::count(members, state, &Member::state));
}
PublicState state_of(std::span<const Member> members, TargetId target) {
  return std::ranges::find(members, target, &Member::target)->state;
}

// What a chain may look like before a step: in order, one syncs at most and from somebody, LASTSRV only if none serves.
bool legal(std::span<const Member> members) {
  const bool serving = count(members, SERVING) > 0;
  return std::ranges::is_sorted(members, {}, &Member::state) && count(members, SYNCING) <= (serving ? 1u : 0u) &&
         (count(members, LASTSRV) > 0) != serving;
}

void expect_sound(std::span<const MemberView> before, std::span<const Member> after) {
  ASSERT_TRUE(legal(after));
  ASSERT_EQ(after.size(), before.size());
  bool any_alive_complete = false;
  for (const MemberView& view : before) {
    const bool alive = view.local != LOCAL_OFFLINE;
    const bool heard = view.local == LOCAL_ONLINE || view.local == LOCAL_UPTODATE;
    const PublicState next = state_of(after, view.member.target);
    if (view.member.state == SERVING && alive) {
      EXPECT_EQ(next, SERVING);
    }
    if (!heard) {
      EXPECT_TRUE(next != SYNCING || view.local == LOCAL_NONE);
    }
    if (next == SERVING && view.member.state != SERVING) {
      EXPECT_TRUE(view.member.state == LASTSRV || (view.member.state == SYNCING && view.local == LOCAL_UPTODATE));
    }
    any_alive_complete |= (view.member.state == SERVING && alive) || (view.member.state == LASTSRV && heard) ||
                          (view.member.state == SYNCING && view.local == LOCAL_UPTODATE);
  }
  EXPECT_EQ(count(after, SERVING) > 0, any_alive_complete);
  // Who served before stays in the same order, in front of who has joined.
  std::vector<TargetId> old_order;
  std::vector<TargetId> new_order;
  for (const MemberView& view : before)
    if (view.member.state == SERVING && state_of(after, view.member.target) == SERVING)
      old_order.push_back(view.member.target);
  for (const Member& member : after)
    if (member.state == SERVING && new_order.size() < old_order.size()) new_order.push_back(member.target);
  EXPECT_EQ(old_order, new_order);
}

TEST(ChainState, EveryStepOfUpToFourMembersIsSound) {
  std::size_t steps = 0;
  for (std::size_t size = 1; size <= 4; ++size) {
    std::size_t all = 1;
    for (std::size_t i = 0; i < size; ++i) all *= kPublic.size() * kLocal.size();
    for (std::size_t code = 0; code < all; ++code) {
      std::vector<MemberView> views;
      std::vector<Member> members;
      std::size_t rest = code;
      for (std::size_t i = 0; i < size; ++i) {
        const PublicState state = kPublic[rest % 5];
        const LocalState local = kLocal[rest / 5 % 4];
        rest /= 20;
        members.push_back({.target = TargetId{i + 1}, .state = state});
        views.push_back({.member = members.back(), .local = local});
      }
      if (!legal(members)) continue;
      ++steps;
      expect_sound(views, next_members(views));
      if (HasFailure()) FAIL() << "size " << size << ", code " << code;
    }
  }
  // Legal orders of states: 2, 7, 15 and 26 for 1 to 4 members; each with 4 local states a member.
  EXPECT_EQ(steps, 2u * 4 + 7u * 16 + 15u * 64 + 26u * 256);
}

// ---- what is reachable ----------------------------------------------------------------------------------------------

struct World {
  std::vector<Member> members;
  std::map<TargetId, LocalState> local;  // the truth
  std::set<TargetId> known;              // to the manager
  std::set<TargetId> complete;           // hold every acknowledged update
  friend auto key(const World& w) {
    std::vector<int> out;
    for (const Member& m : w.members) {
      out.push_back(static_cast<int>(number(m.target)));
      out.push_back(m.state);
      out.push_back(w.local.at(m.target));
      out.push_back((w.known.contains(m.target) ? 2 : 0) + (w.complete.contains(m.target) ? 1 : 0));
    }
    return out;
  }
};

// The manager evaluates; then, if somebody serves, updates are acknowledged that only SERVING members and a finished
// sync hold.
void evaluate(World& world) {
  std::vector<MemberView> views;
  for (const Member& member : world.members)
    views.push_back(
        {.member = member, .local = world.known.contains(member.target) ? world.local[member.target] : LOCAL_NONE});
  const std::vector<Member> next = next_members(views);
  expect_sound(views, next);
  for (const Member& member : next)
    if (member.state == SERVING || member.state == LASTSRV) {
      EXPECT_TRUE(world.complete.contains(member.target)) << "not complete: " << number(member.target);
    }
  if (!same_members(next, world.members)) {
    world.members = next;
    // A finished sync counts for its chain version only.
    for (auto& [target, local] : world.local)
      if (local == LOCAL_UPTODATE) local = LOCAL_ONLINE;
  }
  if (count(world.members, SERVING) == 0) return;
  std::erase_if(world.complete, [&](TargetId target) {
    const PublicState state = state_of(world.members, target);
    return state != SERVING && !(state == SYNCING && world.local[target] == LOCAL_UPTODATE);
  });
}

std::vector<World> successors(const World& world) {
  std::vector<World> out;
  for (const Member& member : world.members) {
    const LocalState local = world.local.at(member.target);
    if (local != LOCAL_OFFLINE) out.push_back(world), out.back().local[member.target] = LOCAL_OFFLINE;
    if (local == LOCAL_OFFLINE) out.push_back(world), out.back().local[member.target] = LOCAL_ONLINE;
    if (local == LOCAL_ONLINE && member.state == SYNCING) {
      out.push_back(world);
      out.back().local[member.target] = LOCAL_UPTODATE;
      out.back().complete.insert(member.target);
    }
    if (!world.known.contains(member.target)) out.push_back(world), out.back().known.insert(member.target);
  }
  // Two at once, before anybody evaluates: a switch that dies takes all with it.
  World all_dead = world;
  for (auto& [target, local] : all_dead.local) local = LOCAL_OFFLINE;
  out.push_back(all_dead);
  World new_manager = world;
  new_manager.known.clear();
  out.push_back(new_manager);
  for (World& next : out) evaluate(next);
  return out;
}

// Everybody is back, and syncs end: how many steps until all serve; nothing: never.
std::optional<std::size_t> steps_to_full(World world) {
  for (const Member& member : world.members) world.known.insert(member.target);
  for (std::size_t step = 0; step <= 3 * world.members.size(); ++step) {
    if (count(world.members, SERVING) == world.members.size()) return step;
    for (const Member& member : world.members) {
      LocalState& local = world.local[member.target];
      if (local == LOCAL_OFFLINE)
        local = LOCAL_ONLINE;
      else if (member.state == SYNCING)
        local = LOCAL_UPTODATE, world.complete.insert(member.target);
    }
    evaluate(world);
  }
  return std::nullopt;
}

TEST(ChainState, WhateverIsReachableIsSoundAndRecovers) {
  World start;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    start.members.push_back({.target = TargetId{i}, .state = SERVING});
    start.local[TargetId{i}] = LOCAL_ONLINE;
    start.known.insert(TargetId{i});
    start.complete.insert(TargetId{i});
  }
  std::set<std::vector<int>> seen = {key(start)};
  std::deque<World> open = {start};
  while (!open.empty()) {
    const World world = std::move(open.front());
    open.pop_front();
    ASSERT_TRUE(steps_to_full(world).has_value());
    for (World& next : successors(world))
      if (seen.insert(key(next)).second) open.push_back(std::move(next));
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(seen.size(), 500u);
}

std::vector<MemberView> chain(std::initializer_list<std::pair<PublicState, LocalState>> members) {
  std::vector<MemberView> out;
  for (const auto& [state, local] : members)
    out.push_back({.member = {.target = TargetId{out.size() + 1}, .state = state}, .local = local});
  return out;
}

TEST(ChainState, AllThatDieAtOnceAreRememberedAndAnyOfThemServes) {
  const auto dead = next_members(chain({{SERVING, LOCAL_OFFLINE}, {SERVING, LOCAL_OFFLINE}}));
  EXPECT_EQ(count(dead, LASTSRV), 2u);
  const auto back = next_members(chain({{LASTSRV, LOCAL_OFFLINE}, {LASTSRV, LOCAL_UPTODATE}}));
  EXPECT_EQ(state_of(back, TargetId{2}), SERVING);
  EXPECT_EQ(state_of(back, TargetId{1}), OFFLINE);
}

TEST(ChainState, TheFirstInPreferredOrderSyncsFirst) {
  const auto views = chain({{SERVING, LOCAL_UPTODATE}, {WAITING, LOCAL_ONLINE}, {WAITING, LOCAL_ONLINE}});
  const std::array order = {TargetId{3}, TargetId{1}, TargetId{2}};
  EXPECT_EQ(state_of(next_members(views, order), TargetId{3}), SYNCING);
  EXPECT_EQ(state_of(next_members(views), TargetId{2}), SYNCING);
}

TEST(ChainState, AWaitingMemberThatCallsItselfUpToDateSyncs) {
  const auto next = next_members(chain({{SERVING, LOCAL_UPTODATE}, {WAITING, LOCAL_UPTODATE}}));
  EXPECT_EQ(state_of(next, TargetId{2}), SYNCING);
}

TEST(ChainState, SetOfflineLetsAServingMemberStopByItself) {
  auto views = chain({{SERVING, LOCAL_UPTODATE}, {SERVING, LOCAL_UPTODATE}, {SYNCING, LOCAL_ONLINE}});
  views[0].set_offline = views[2].set_offline = true;
  const auto next = next_members(views);
  EXPECT_EQ(state_of(next, TargetId{1}), SERVING);
  EXPECT_EQ(state_of(next, TargetId{3}), OFFLINE);
}

TEST(ChainState, TheLastCompleteMemberIsNotTakenOutUnlessForced) {
  const auto views = chain({{SERVING, LOCAL_UPTODATE}, {OFFLINE, LOCAL_OFFLINE}});
  EXPECT_EQ(check_set_offline(views, TargetId{1}, false).error().code(), Errc::kInvalidArgument);
  EXPECT_TRUE(check_set_offline(views, TargetId{1}, true).has_value());
  EXPECT_TRUE(check_set_offline(views, TargetId{2}, false).has_value());
}

TEST(ChainState, ARotationNeedsForceAndAMemberThatLives) {
  const auto views = chain({{LASTSRV, LOCAL_OFFLINE}, {WAITING, LOCAL_ONLINE}, {OFFLINE, LOCAL_OFFLINE}});
  EXPECT_FALSE(rotate_lastsrv(views, TargetId{2}, false).has_value());
  EXPECT_FALSE(rotate_lastsrv(views, TargetId{3}, true).has_value());
  const auto rotated = rotate_lastsrv(views, TargetId{2}, true);
  ASSERT_TRUE(rotated.has_value());
  EXPECT_EQ(rotated->front().target, TargetId{2});
  EXPECT_EQ(state_of(*rotated, TargetId{2}), SERVING);
  EXPECT_EQ(state_of(*rotated, TargetId{1}), OFFLINE);
}

TEST(ChainState, OnlyOfflineMembersAreRemoved) {
  const std::vector<Member> members = {{TargetId{1}, SERVING}, {TargetId{2}, OFFLINE}};
  EXPECT_EQ(remove_member(members, TargetId{1}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(remove_member(members, TargetId{2})->size(), 1u);
  EXPECT_EQ(remove_member(members, TargetId{9}).error().code(), Errc::kNotFound);
  EXPECT_EQ(add_member(members, TargetId{2}).error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(add_member(members, TargetId{3})->back().state, OFFLINE);
}

}  // namespace
}  // namespace ff::ffs
