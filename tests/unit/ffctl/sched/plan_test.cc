// Each rule of the scheduler by an example; those that other schedulers broke carry the number of their report.
#include "ffctl/sched/plan.hpp"

#include "tests/unit/ffctl/sched/sched_testing.hpp"

namespace ff::ctl::sched {
namespace {

const Policy kFifoPolicy{.kind = Kind::kFifo};
const Policy kEasyPolicy{.kind = Kind::kEasy};
const Policy kSlicePolicy{};

Plan checked(const Snapshot& s, const Policy& policy) {
  Plan p = plan(s, policy);
  EXPECT_EQ(broken_law(s, p), "");
  return p;
}

TEST(Plan, StartsInOrderOfTierThenSubmission) {
  Snapshot s = cluster(2);
  s.jobs = {wants(1, 1, 3), wants(2, 1, 3), wants(3, 1, 5)};
  for (const Policy& policy : {kFifoPolicy, kEasyPolicy, kSlicePolicy}) {
    const Plan p = checked(s, policy);
    EXPECT_NE(start_of(p, 2), nullptr);
    EXPECT_NE(start_of(p, 0), nullptr);
    EXPECT_EQ(start_of(p, 1), nullptr);
    EXPECT_EQ(verdict_of(p, 2).position, 1u);
  }
}

TEST(Plan, FifoStopsAtTheFirstThatCannotStart) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 9, {0}), wants(10, 4), wants(11, 1)};
  s.jobs[0].preemptible = false;
  const Plan p = checked(s, kFifoPolicy);
  EXPECT_TRUE(p.starts.empty());
  EXPECT_EQ(verdict_of(p, 1).reason, Reason::kBusy);
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kOrder);
}

// HAI: one large job that does not fit blocked everything behind it. flux-sched 1426, kueue 6970.
TEST(Plan, SmallJobsPassALargeOneThatCannotStartYet) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 9, {0}), wants(10, 4), wants(11, 1)};
  s.jobs[0].preemptible = false;
  s.jobs[0].estimate = 10 * kHour;
  s.jobs[2].estimate = kHour;
  for (const Policy& policy : {kEasyPolicy, kSlicePolicy}) {
    const Plan p = checked(s, policy);
    EXPECT_NE(start_of(p, 2), nullptr);
    EXPECT_EQ(verdict_of(p, 1).start, s.now + 10 * kHour);
  }
}

TEST(Plan, BackfillDelaysNoReservation) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 9, {0}), wants(10, 4), wants(11, 1)};
  s.jobs[0].preemptible = false;
  s.jobs[0].estimate = kHour;
  s.jobs[2].estimate = 2 * kHour;
  const Plan p = checked(s, kEasyPolicy);
  EXPECT_EQ(start_of(p, 2), nullptr);
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kReserved);
  s.jobs[1].request.nodes = 3;  // leaves a node over
  const Plan q = checked(s, kEasyPolicy);
  EXPECT_NE(start_of(q, 1), nullptr);
}

TEST(Plan, SaysWhatCanNeverRun) {
  Snapshot s = cluster(4);
  s.nodes[2].usable = false;
  s.nodes[0].labels = 1;
  s.jobs = {wants(1, 5), wants(2, 4), wants_gpus(3, 9), wants(4, 1)};
  s.jobs[3].request.labels = 2;
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_EQ(verdict_of(p, 0).reason, Reason::kNever);
  EXPECT_EQ(verdict_of(p, 0).nodes_matching, 4u);
  EXPECT_EQ(verdict_of(p, 1).reason, Reason::kNoNodes);
  EXPECT_EQ(verdict_of(p, 1).nodes_matching, 3u);
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kNever);
  EXPECT_EQ(verdict_of(p, 3).reason, Reason::kNever);
}

TEST(Plan, KeepsToLabelsExclusionsAndLists) {
  Snapshot s = cluster(4);
  s.nodes[1].labels = s.nodes[3].labels = 4;
  s.jobs = {wants(1, 1), wants(2, 1)};
  s.jobs[0].request.labels = 4;
  s.jobs[0].request.exclude = {1};
  s.jobs[1].request.only = {2};
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_EQ(start_of(p, 0)->nodes[0].node, 3u);
  EXPECT_EQ(start_of(p, 1)->nodes[0].node, 2u);
}

TEST(Plan, JobsShareANodeTightly) {
  Snapshot s = cluster(3);
  s.jobs = {wants_gpus(1, 3), wants_gpus(2, 5), wants_gpus(3, 8), wants(4, 1)};
  const Plan p = checked(s, kSlicePolicy);
  ASSERT_EQ(p.starts.size(), 4u);
  EXPECT_EQ(start_of(p, 0)->nodes[0].node, start_of(p, 1)->nodes[0].node);
  EXPECT_FALSE(start_of(p, 0)->nodes[0].whole);
  EXPECT_EQ(start_of(p, 0)->nodes[0].cpus, 24u);
}

TEST(Plan, TakesTheTightestLeafThenAZoneThenTwo) {
  Snapshot s{.now = kNow};
  for (std::uint32_t leaf = 0; leaf < 4; ++leaf) {
    for (std::uint32_t i = 0; i < (leaf == 1 ? 2 : 4); ++i) s.nodes.push_back(node(leaf / 2, leaf));
  }
  const auto zones = [&](std::uint32_t nodes) {
    s.jobs = {wants(1, nodes)};
    std::vector<std::pair<std::uint32_t, std::uint32_t>> where;
    for (const Placed& placed : start_of(checked(s, kSlicePolicy), 0)->nodes) {
      const NodeView& v = s.nodes[placed.node];
      if (where.empty() || where.back() != std::pair(v.zone, v.leaf)) where.emplace_back(v.zone, v.leaf);
    }
    return where;
  };
  EXPECT_EQ(zones(2), (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 1}}));
  EXPECT_EQ(zones(6), (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 0}, {0, 1}}));
  EXPECT_EQ(zones(8).size(), 2u);
  EXPECT_EQ(zones(8)[0].first, 1u);
  EXPECT_EQ(zones(10).back().first, 0u);
}

TEST(Plan, AJobSpansTwoZonesAtMost) {
  Snapshot s{.now = kNow};
  for (std::uint32_t i = 0; i < 6; ++i) s.nodes.push_back(node(i / 2, i / 2));
  s.jobs = {wants(1, 5)};
  EXPECT_EQ(verdict_of(checked(s, kSlicePolicy), 0).reason, Reason::kNever);
}

TEST(Plan, QuotasCountWhatRunsAndWhatStarts) {
  Snapshot s = cluster(8);
  s.quotas = {{.user = 1, .nodes = 3}, {.tier = 5, .nodes = 1}};
  s.jobs = {runs(s, 1, {0, 1}, 3, 1), wants(2, 1, 3, 1), wants(3, 1, 3, 1),
            wants(4, 1, 6, 2),        wants(5, 1, 6, 2), wants(6, 1, 6, 3)};
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_NE(start_of(p, 1), nullptr);
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kQuota);
  EXPECT_NE(start_of(p, 3), nullptr);
  EXPECT_EQ(verdict_of(p, 4).reason, Reason::kQuota);
  EXPECT_NE(start_of(p, 5), nullptr) << "the quota is each user's";
}

TEST(Plan, ArraysRunAsManyAsTheyMay) {
  Snapshot s = cluster(8);
  s.jobs = {runs(s, 1, {0}), wants(2, 1), wants(3, 1)};
  for (JobView& job : s.jobs) {
    job.array = 1;
    job.array_limit = 2;
  }
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_NE(start_of(p, 1), nullptr);
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kArray);
}

TEST(Plan, AHigherTierPreemptsALowerOne) {
  Snapshot s = cluster(2);
  s.jobs = {runs(s, 1, {0, 1}, 2), wants(2, 1, 6)};
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_EQ(victims_of(p), std::set<JobIndex>{0});
  EXPECT_EQ(verdict_of(p, 1).reason, Reason::kPreempting);
}

TEST(Plan, NobodyIsPreemptedBeforeItsTimeOrAgainstItsMode) {
  Snapshot s = cluster(3);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1}, 2, 1, kMinute), runs(s, 3, {2}, 2), wants(4, 2, 6)};
  s.jobs[0].preemptible = false;
  s.jobs[2].min_run = 2 * kHour;
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
}

TEST(Plan, TheSameUserIsNotPreemptedInTheSameTier) {
  Snapshot s = cluster(1);
  s.jobs = {runs(s, 1, {0}, 3, 7), wants(2, 1, 3, 7)};
  s.jobs[0].service = 100 * kHour;
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
  s.jobs[1].user = 8;
  EXPECT_EQ(checked(s, kSlicePolicy).preempts.size(), 1u);
}

TEST(Plan, LittleServiceGoesBeforeMuch) {
  Snapshot s = cluster(1);
  s.jobs = {wants(1, 1), wants(2, 1)};
  s.jobs[0].service = 20 * kHour;
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 1), nullptr);
  EXPECT_NE(start_of(checked(s, kEasyPolicy), 0), nullptr);
}

TEST(Plan, WhoStarvesGoesFirstInItsTier) {
  Snapshot s = cluster(1);
  s.jobs = {wants(1, 1), wants(2, 1), wants(3, 1, 4)};
  s.jobs[0].service = 100 * kHour;
  s.jobs[0].waiting_since = s.now - 25 * kHour;
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_EQ(verdict_of(p, 2).position, 1u);
  EXPECT_EQ(verdict_of(p, 0).position, 2u);
}

TEST(Plan, UsersAboveTheirShareComeAfterThoseBelow) {
  Snapshot s = cluster(1);
  s.jobs = {wants(1, 1, 3, 0), wants(2, 1, 3, 1)};
  s.users = {{.share = 1, .usage = 90}, {.share = 1, .usage = 10}};
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 1), nullptr);
  s.users[0].share = 20;
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 0), nullptr);
}

TEST(Plan, TheCheapestVictimsAreChosen) {
  Snapshot s = cluster(3);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1}, 2), runs(s, 3, {2}, 2), wants(4, 1, 6)};
  s.jobs[1].saved = s.now - kMinute;
  EXPECT_EQ(victims_of(checked(s, kSlicePolicy)), std::set<JobIndex>{1});
  s.jobs[1].switch_cost = 5 * kHour;
  s.jobs[2].saved = s.now - 30 * kMinute;
  EXPECT_EQ(victims_of(checked(s, kSlicePolicy)), std::set<JobIndex>{2});
}

TEST(Plan, OneLargeVictimSparesManySmallOnes) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1, 2, 3}, 2), wants(3, 3, 6)};
  s.jobs[0].saved = s.now;  // cheap, and of no use
  EXPECT_EQ(victims_of(checked(s, kSlicePolicy)), std::set<JobIndex>{1});
}

// volcano 3291: a free node and a victim's node were never combined. HAI gave free + full request.
TEST(Plan, FreeNodesAndVictimsNodesAreCombined) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1}, 2), wants(3, 3, 6)};
  s.jobs[0].saved = s.now;
  EXPECT_EQ(victims_of(checked(s, kSlicePolicy)), std::set<JobIndex>{0}) << "two are free, one is missing";
}

// volcano 2256: victims were taken although the preemptor did not fit with them.
TEST(Plan, NobodyIsPreemptedInVain) {
  Snapshot s = cluster(4);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1, 2, 3}, 7), wants(3, 2, 6)};
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
}

// volcano 3869, kueue 3779 and 7101: jobs reclaimed each other's nodes for ever.
TEST(Plan, ASuspendedJobDoesNotEvictWhoEvictedIt) {
  Snapshot s = cluster(1);
  s.jobs = {runs(s, 1, {0}, 3, 1), wants(2, 1, 3, 2)};
  s.jobs[0].service = 10 * kHour;
  ASSERT_EQ(victims_of(checked(s, kSlicePolicy)), std::set<JobIndex>{0});
  JobView first = wants(1, 1, 3, 1);
  first.service = 10 * kHour;
  s.jobs = {first, runs(s, 2, {0}, 3, 2)};
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
}

// kueue 6143: nodes that are being left are planned with; nobody else is evicted meanwhile.
TEST(Plan, WhatIsBeingLeftIsPlannedWithAndKept) {
  Snapshot s = cluster(3);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1}, 2), wants(3, 2, 6), wants(4, 1, 2)};
  s.jobs[0].hold = Hold::kEnding;
  s.jobs[0].ending_for = 3;
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_TRUE(p.preempts.empty());
  EXPECT_EQ(verdict_of(p, 2).reason, Reason::kPreempting);
  EXPECT_EQ(start_of(p, 3), nullptr) << "the free node completes the set";
  s.jobs[2].hold = Hold::kEnding;  // it went away
  s.jobs[2].held = {};
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 3), nullptr);
}

TEST(Plan, WhatIsBeingLeftForOneIsNotCountedOnByAnother) {
  Snapshot s = cluster(2);
  s.jobs = {runs(s, 1, {0}, 2), runs(s, 2, {1}, 2), wants(4, 1, 6), wants(5, 1, 6)};
  s.jobs[0].hold = Hold::kEnding;
  s.jobs[0].ending_for = 5;
  const Plan p = checked(s, kSlicePolicy);
  ASSERT_EQ(p.preempts.size(), 1u);
  EXPECT_EQ(p.preempts[0].by, 2u);
  EXPECT_EQ(p.preempts[0].victim, 1u);
}

// A victim's own user must not get by the order what he could not have got by preemption.
TEST(Plan, WhatWasLeftForAJobIsKeptForIt) {
  Snapshot s = cluster(2);
  JobView victim = wants(1, 1, 3, 1);
  victim.service = 10 * kHour;
  s.jobs = {victim, wants(2, 2, 3, 1), wants(3, 2, 3, 2), wants(4, 1, 3, 3)};
  s.nodes[0].kept_for = 3;
  const Plan p = checked(s, kSlicePolicy);
  EXPECT_NE(start_of(p, 2), nullptr);
  EXPECT_EQ(start_of(p, 1), nullptr);
  s.jobs[3].tier = 4;
  s.jobs[3].request.nodes = 2;
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 3), nullptr) << "a higher rank takes what it needs";
  s.jobs[3] = wants(4, 1, 3, 3);
  s.nodes[0].kept_for = 77;
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 1), nullptr) << "whoever it was kept for has gone";
}

// What one job finds of the nodes that are being left for another says nothing of that one.
TEST(Plan, AJobOfTheSameShapeDoesNotHideWhatIsBeingLeft) {
  Snapshot s = cluster(3);
  s.nodes[0].labels = s.nodes[1].labels = 1;
  // 1 leaves node 0 for 3; node 2 has not the label that 2 and 3 want, so that preempting its job helps neither.
  s.jobs = {runs(s, 1, {0}, 3, 9), runs(s, 5, {2}, 3, 8), wants(2, 2, 3, 1), wants(3, 2, 3, 2), wants(4, 1, 3, 3)};
  s.jobs[0].hold = Hold::kEnding;
  s.jobs[0].ending_for = 3;
  s.jobs[1].service = 10 * kHour;
  s.jobs[2].request.labels = s.jobs[3].request.labels = s.jobs[4].request.labels = 1;
  s.jobs[4].service = 20 * kHour;
  Policy policy = kSlicePolicy;
  policy.reservations = 0;
  const Plan p = checked(s, policy);
  EXPECT_EQ(verdict_of(p, 3).reason, Reason::kPreempting);
  EXPECT_EQ(start_of(p, 4), nullptr) << "the free node completes the set";
}

// A whole node that is broken up for one GPU is lost to the large job for as long as small ones come.
TEST(Plan, PartOfANodeIsTakenFromThoseThatShare) {
  Snapshot s = cluster(2);
  s.jobs = {runs(s, 1, {0}, 2), wants(2, 1, 2), wants(3, 1, 3)};
  JobView& sharer = s.jobs[1];
  sharer.request = {.nodes = 1, .gpus = 8};
  sharer.hold = Hold::kRunning;
  sharer.held = {{.node = 1, .gpus = s.jobs[0].held[0].gpus, .whole = false}};
  sharer.preemptible = true;
  sharer.running_since = s.now - 10 * kHour;  // dearer than the other, by what it has not saved
  s.jobs[0].running_since = s.now - kHour;
  s.jobs[2].request.gpus = 1;
  const Plan p = checked(s, kSlicePolicy);
  ASSERT_EQ(p.preempts.size(), 1u);
  EXPECT_EQ(p.preempts[0].victim, 1u);
}

TEST(Plan, NodesThatAnyoneIsLeavingSpareVictims) {
  Snapshot s = cluster(2);
  s.jobs = {runs(s, 1, {0}, 5), runs(s, 2, {1}, 2), wants(3, 1, 6)};
  s.jobs[0].hold = Hold::kEnding;
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
}

// volcano 5131: a plan was carried out for a job that had gone, or over a better one.
TEST(Plan, AHigherJobThatComesMeanwhileTakesWhatIsFree) {
  Snapshot s = cluster(2);
  s.jobs = {runs(s, 1, {0}, 2), wants(2, 2, 5), wants(3, 1, 7)};
  s.jobs[0].hold = Hold::kEnding;
  s.jobs[0].ending_for = 2;
  EXPECT_NE(start_of(checked(s, kSlicePolicy), 2), nullptr);
}

TEST(Plan, SharersOfANodeAreAllPreemptedOrNone) {
  Snapshot s = cluster(1);
  s.jobs = {runs(s, 1, {}, 2), runs(s, 2, {}, 2), wants(3, 1, 6)};
  s.jobs[0].request.gpus = s.jobs[1].request.gpus = 4;
  s.jobs[0].request.nodes = s.jobs[1].request.nodes = 1;
  s.jobs[0].held = {{.node = 0, .gpus = 0x0f, .cpus = 32, .memory_bytes = 0, .whole = false}};
  s.jobs[1].held = {{.node = 0, .gpus = 0xf0, .cpus = 32, .memory_bytes = 0, .whole = false}};
  EXPECT_EQ(checked(s, kSlicePolicy).preempts.size(), 2u);
  s.jobs[1].preemptible = false;
  EXPECT_TRUE(checked(s, kSlicePolicy).preempts.empty());
}

TEST(Plan, NothingOnNothing) {
  EXPECT_TRUE(plan({}, {}).verdicts.empty());
  Snapshot s;
  s.jobs = {wants(1, 1)};
  EXPECT_EQ(verdict_of(checked(s, kSlicePolicy), 0).reason, Reason::kNever);
}

}  // namespace
}  // namespace ff::ctl::sched
