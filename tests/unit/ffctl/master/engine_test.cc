// What becomes of jobs, and that the store gives the same state back at every change.
#include "ffctl/master/engine.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/unit/ffctl/master/engine_world.hpp"

namespace ff::ctl {
namespace {

// The keys that differ.
std::string difference(const std::map<std::string, std::string>& a, const std::map<std::string, std::string>& b) {
  std::string out;
  for (const auto& [key, value] : a)
    if (const auto at = b.find(key); at == b.end() || at->second != value) out += kv::printable_key(key) + " ";
  for (const auto& [key, value] : b)
    if (!a.contains(key)) out += kv::printable_key(key) + " ";
  return out;
}

TEST(Engine, AJobRunsToItsEnd) {
  World world(2);
  const auto id = world.submit(spec_of("a", 2));
  world.run(300);
  EXPECT_EQ(world.job(id).phase(), RUNNING);
  world.run(4000);
  EXPECT_EQ(world.job(id).phase(), DONE);
  EXPECT_EQ(world.job(id).result(), SUCCEEDED);
  EXPECT_EQ(world.job(id).attempts_size(), 1);
  EXPECT_TRUE(world.engine.live().empty());
}

// The fence would be behind its last step.
TEST(Engine, AJobThatCompletesWhileItIsSuspendedHasSucceeded) {
  World world(2);
  const auto id = world.submit(spec_of("a", 2, {"steps=20", "rate=10", "passing=1"}));
  world.run(1500);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  ASSERT_TRUE(world.control(id, ControlRequest::SUSPEND));
  EXPECT_EQ(world.job(id).phase(), SUSPENDING);
  world.run(3000);
  EXPECT_EQ(world.job(id).phase(), DONE);
  EXPECT_EQ(world.job(id).result(), SUCCEEDED) << world.job(id).reason();
  EXPECT_EQ(world.job(id).attempts(0).saved_step(), 20u);
}

TEST(Engine, NothingOfASilentNodeIsOverBeforeItIsLost) {
  World world(2, {.failure_timeout_ms = 8000, .settle_ms = 100, .kill_timeout_ms = 300, .cleanup_timeout_ms = 300});
  const auto id = world.submit(spec_of("a", 2, {"steps=1000"}));
  world.run(500);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  world.silent.insert("n1");
  world.run(2500);
  ASSERT_TRUE(world.control(id, ControlRequest::STOP));
  // It has not heard of the order, for all we know: neither is it drained, nor is the job over.
  world.run(3000);
  EXPECT_EQ(world.job(id).phase(), STOPPING);
  EXPECT_FALSE(world.engine.state().nodes.at("n1").record.draining());
  world.run(4000);
  EXPECT_EQ(world.job(id).phase(), DONE);
  EXPECT_EQ(world.job(id).result(), STOPPED);
}

// Found by tests/e2e/ffctl_chaos_test.py: the job had failed, with exit code 0.
TEST(Engine, ANodeThatIsLostDuringASuspensionFailsNothing) {
  World world(2);
  const auto id = world.submit(spec_of("a", 2, {"steps=1000"}));
  world.run(300);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  ASSERT_TRUE(world.engine.preempt(id, 0, "for a test", world.now));
  world.silent.insert("n1");
  world.run(6000);
  EXPECT_EQ(world.job(id).phase(), QUEUED) << world.job(id).reason();
  EXPECT_EQ(world.job(id).attempts(0).cause(), PREEMPTED);
  EXPECT_EQ(world.job(id).failures(), 0u);
}

TEST(Engine, WhatEndsWithItsLeaseHasLostItsNode) {
  World world(2);
  JobSpec spec = spec_of("a", 1, {"steps=1000"});
  spec.mutable_retry()->add_on(NODE_FAIL);
  spec.mutable_retry()->set_max(1);
  const auto id = world.submit(spec);
  world.run(300);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  FakeNode& node = world.nodes.at(world.job(id).attempts(0).nodes(0));
  ReportReply reply;
  reply.set_master_epoch(world.epoch);
  reply.set_lease_ms(1);
  reply.set_stop_ms(2);
  node.lease(reply, 1);
  node.fence(10, world.now);
  reply.set_lease_ms(1'000'000);
  reply.set_stop_ms(1'000'000);
  node.lease(reply, 1);
  node.fence(10, world.now);
  world.run(2000);
  ASSERT_EQ(world.job(id).attempts_size(), 2) << world.job(id).reason();
  EXPECT_EQ(world.job(id).attempts(0).cause(), NODE_LOST);
  EXPECT_EQ(world.job(id).attempts(0).exit_code(), 0) << "a code that is not its own";
  EXPECT_EQ(world.job(id).phase(), RUNNING);
}

TEST(Engine, AShorterTimeoutCountsWhenTheLeasesBeforeAreOver) {
  World world(1, {.failure_timeout_ms = 5000});
  const auto id = world.submit(spec_of("a", 1, {"steps=1000"}));
  world.run(300);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  const std::string name = world.job(id).attempts(0).nodes(0);
  world.silent.insert(name);
  Engine next({.failure_timeout_ms = 500}, [](Change) {});
  State state;
  state.header.set_failure_timeout_ms(world.engine.state().header.failure_timeout_ms());
  state.nodes[name].record = world.engine.state().nodes.at(name).record;
  next.begin(std::move(state), world.epoch + 1, world.now);
  next.tick(world.now + 4000);
  EXPECT_FALSE(next.state().nodes.at(name).lost);
  next.tick(world.now + 6000);
  EXPECT_TRUE(next.state().nodes.at(name).lost);
}

TEST(Engine, AFailureTellsRankAndCode) {
  World world(2);
  const auto id = world.submit(spec_of("a", 2, {"exit=7"}));
  world.run(4000);
  EXPECT_EQ(world.job(id).result(), FAILED);
  EXPECT_EQ(world.job(id).exit_code(), 7);
}

TEST(Engine, PreemptedJobsLeaveAtOneStepAndGoOn) {
  World world(3);
  world.schedule = true;
  const auto id = world.submit(spec_of("a", 3, {"steps=60", "rate=20"}));
  world.run(1000);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  ASSERT_TRUE(world.engine.preempt(id, 0, "for a test", world.now));
  EXPECT_EQ(world.job(id).phase(), SUSPENDING);
  world.schedule = false;
  world.run(5000);
  ASSERT_EQ(world.job(id).phase(), QUEUED) << world.job(id).reason();
  std::set<std::uint64_t> left;
  for (const auto& [name, node] : world.nodes) left.insert(node.left_at().at({id, 1}));
  EXPECT_EQ(left.size(), 1u) << "ranks left at different steps";
  EXPECT_EQ(world.job(id).attempts(0).saved_step(), *left.begin());
  EXPECT_GT(world.job(id).attempts(0).notice_to_freed_ms(), 0u);
  EXPECT_GE(world.job(id).attempts(0).notice_to_saved_ms(), world.job(id).attempts(0).notice_to_seen_ms());
  EXPECT_GT(*left.begin(), 15u);
  world.schedule = true;
  world.run(4000);
  EXPECT_EQ(world.job(id).result(), SUCCEEDED);
  EXPECT_EQ(world.job(id).attempts_size(), 2);
  EXPECT_EQ(world.job(id).preemptions(), 1u);
}

TEST(Engine, OneThatDoesNotSaveIsKilledAtTheEndOfItsGraceAndGoesOn) {
  World world(1);
  const auto id = world.submit(spec_of("a", 1, {"steps=1000", "deaf=1"}));
  world.run(500);
  ASSERT_TRUE(world.control(id, ControlRequest::SUSPEND));
  world.run(4000);
  EXPECT_EQ(world.job(id).phase(), SUSPENDING);
  world.run(3000);
  EXPECT_EQ(world.job(id).phase(), SUSPENDED);
  EXPECT_EQ(world.job(id).attempts(0).cause(), SUSPEND_ORDER);
  ASSERT_TRUE(world.control(id, ControlRequest::RESUME));
  world.run(500);
  EXPECT_EQ(world.job(id).phase(), RUNNING);
}

// HAI: a job that was stopped while it was suspended came back.
TEST(Engine, AStopThatRacesASuspensionWins) {
  for (std::uint64_t wait = 0; wait < 800; wait += 10) {
    World world(1);
    const auto id = world.submit(spec_of("a", 1, {"steps=1000"}));
    world.run(300);
    ASSERT_TRUE(world.control(id, ControlRequest::SUSPEND));
    world.run(wait);
    ASSERT_TRUE(world.control(id, ControlRequest::STOP));
    world.run(1500);
    EXPECT_EQ(world.job(id).phase(), DONE) << wait;
    EXPECT_EQ(world.job(id).result(), STOPPED);
    EXPECT_EQ(world.job(id).exit_code(), 20);
    world.run(500);
    EXPECT_EQ(world.job(id).attempts_size(), 1) << "it started again";
  }
}

// volcano 5805: a gang that had lost a node was left running below its size.
TEST(Engine, ALostNodeEndsTheGangAndAnotherPlacementIsTried) {
  World world(3);
  const auto id = world.submit(spec_of("a", 2, {"steps=50"}));
  world.run(500);
  ASSERT_EQ(world.job(id).phase(), RUNNING);
  const NodeEntry& lost = world.engine.state().nodes.at("n0");
  EXPECT_EQ(lost.void_sequence, 0u);
  const std::uint64_t ordered = lost.wanted_sequence;
  ASSERT_GT(ordered, 0u);
  world.silent.insert("n0");
  world.run(6000);
  EXPECT_GE(lost.void_sequence, ordered) << "an order from before counts no more";
  EXPECT_EQ(world.job(id).attempts(0).cause(), NODE_LOST);
  EXPECT_EQ(world.job(id).attempts_size(), 2);
  world.run(6000);
  EXPECT_EQ(world.job(id).result(), SUCCEEDED);
  // What it still ran is ended when it is heard of again, and only then it takes jobs.
  world.silent.clear();
  world.run(300);
  EXPECT_TRUE(world.nodes.at("n0").running().empty());
  EXPECT_TRUE(world.engine.usable(world.engine.state().nodes.at("n0")));
}

TEST(Engine, ALaunchThatFailsIsRolledBackWhole) {
  World world(2);
  const auto id = world.submit(spec_of("a", 2, {"launch=FAIL"}));
  world.run(4000);
  EXPECT_EQ(world.job(id).result(), LOST);
  EXPECT_EQ(world.job(id).failures(), 4u);
  EXPECT_TRUE(world.engine.live().empty());
  EXPECT_EQ(world.job(id).attempts(0).cause(), LAUNCH_FAILED);
}

TEST(Engine, DependenciesAreMetOrRefused) {
  World world(2);
  const auto first = world.submit(spec_of("a", 1, {"steps=5"}));
  JobSpec after = spec_of("b", 1, {"steps=2"});
  after.add_depends()->set_condition(Dependency::AFTER_OK);
  after.mutable_depends(0)->set_job(first);
  const auto second = world.submit(after);
  after.mutable_depends(0)->set_condition(Dependency::AFTER_NOT_OK);
  const auto third = world.submit(after);
  EXPECT_EQ(world.job(second).phase(), DEPENDS);
  world.run(3000);
  EXPECT_EQ(world.job(second).result(), SUCCEEDED);
  EXPECT_EQ(world.job(third).result(), REFUSED);
  EXPECT_EQ(world.job(third).attempts_size(), 0);
}

// flux 4940: two holds needed two releases.
TEST(Engine, WhatIsHeldTwiceIsReleasedOnce) {
  World world(1);
  world.schedule = false;
  const auto id = world.submit(spec_of("a", 1));
  ASSERT_TRUE(world.control(id, ControlRequest::HOLD));
  (void)world.control(id, ControlRequest::HOLD, kRoot);
  EXPECT_EQ(world.job(id).phase(), HELD);
  ASSERT_TRUE(world.control(id, ControlRequest::RELEASE));
  EXPECT_EQ(world.job(id).phase(), QUEUED);
}

// flux 4287: what depended on a job that had ended already waited for ever.
TEST(Engine, DependenciesOnWhatIsDoneAreMetOrRefusedAtOnce) {
  World world(1);
  const auto good = world.submit(spec_of("good", 1, {"steps=1"}));
  world.run(2000);
  const auto bad = world.submit(spec_of("bad", 1, {"steps=1", "exit=3"}));
  world.run(2000);
  ASSERT_EQ(world.job(good).result(), SUCCEEDED);
  ASSERT_EQ(world.job(bad).result(), FAILED);
  world.schedule = false;
  const auto after = [&](std::uint64_t on, Dependency::Condition condition) {
    JobSpec spec = spec_of("after", 1);
    spec.add_depends()->set_condition(condition);
    spec.mutable_depends(0)->set_job(on);
    const auto id = world.submit(spec);
    world.run(20);
    return world.job(id).phase();
  };
  using D = Dependency;
  for (const auto condition : {D::AFTER_OK, D::AFTER_ANY, D::AFTER_START}) EXPECT_EQ(after(good, condition), QUEUED);
  for (const auto condition : {D::AFTER_NOT_OK, D::AFTER_ANY, D::AFTER_START}) EXPECT_EQ(after(bad, condition), QUEUED);
  EXPECT_EQ(after(good, D::AFTER_NOT_OK), DONE);
  EXPECT_EQ(after(bad, D::AFTER_OK), DONE);
}

// HAI: of ranks that failed within 5 s of each other each was a failure, and used up a retry.
TEST(Engine, RanksThatFailTogetherAreOneFailure) {
  World world(4);
  JobSpec spec = spec_of("a", 4, {"steps=1", "exit=7"});
  spec.mutable_retry()->add_on(NONZERO_EXIT);
  spec.mutable_retry()->set_max(2);
  const auto id = world.submit(spec);
  world.run(20'000);
  EXPECT_EQ(world.job(id).result(), FAILED);
  EXPECT_EQ(world.job(id).exit_code(), 7);
  EXPECT_EQ(world.job(id).attempts_size(), 3) << "one, and two retries";
}

// HAI: a launch signal that was lost left a gang that never began.
TEST(Engine, OrdersAndReportsThatAreLostAreSaidAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World world(4);
    world.rng = Rng(seed);
    world.options.failure_timeout_ms = 60'000;
    world.engine.begin(State(), ++world.epoch, world.now);
    world.loss = 0.5;
    const auto id = world.submit(spec_of("a", 4, {"steps=3"}));
    world.run(15'000);
    EXPECT_EQ(world.job(id).result(), SUCCEEDED) << "seed " << seed << ": " << world.job(id).reason();
    EXPECT_EQ(world.job(id).attempts_size(), 1) << "seed " << seed;
  }
}

TEST(Engine, TimeLimitsAndWatchdogs) {
  World world(2);
  JobSpec limited = spec_of("a", 1, {"steps=1000"});
  limited.mutable_time()->set_limit_ms(1000);
  JobSpec stuck = spec_of("b", 1, {"steps=1000", "rate=0"});
  stuck.mutable_time()->set_no_progress_ms(1000);
  const auto a = world.submit(limited), b = world.submit(stuck);
  world.run(8000);
  EXPECT_EQ(world.job(a).exit_code(), 24);
  EXPECT_EQ(world.job(b).exit_code(), 23);
}

// HAI: a request that was sent again made two launchers of one job.
TEST(Engine, ArepeatedSubmissionGivesTheSameJobs) {
  World world(1);
  SubmitRequest request;
  *request.add_jobs() = spec_of("a", 1);
  *request.add_jobs() = spec_of("b", 1);
  request.set_request_key("0123456789abcdef");
  const auto first = world.engine.submit(request, kAlice, world.now);
  world.crash();
  const auto second = world.engine.submit(request, kAlice, world.now);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_FALSE(world.engine.submit(request, kBob, world.now));
}

TEST(Engine, AllOrNoneOfASubmission) {
  World world(1);
  SubmitRequest request;
  *request.add_jobs() = spec_of("a", 1);
  *request.add_jobs() = spec_of("b", 5);  // more nodes than there are
  EXPECT_FALSE(world.engine.submit(request, kAlice, world.now));
  EXPECT_TRUE(world.engine.state().jobs.empty());
}

TEST(Engine, ALongChainOfDependentsIsRefusedWhole) {
  World world(1);
  world.schedule = false;
  constexpr int kJobs = 50'000;
  JobSpec spec = spec_of("a", 1);
  const auto first = world.submit(spec);
  auto last = first;
  for (int i = 1; i < kJobs; ++i) {
    spec.clear_depends();
    Dependency& on = *spec.add_depends();
    on.set_condition(Dependency::AFTER_OK);
    on.set_job(last);
    last = world.submit(spec);
  }
  ASSERT_TRUE(world.control(first, ControlRequest::STOP));
  EXPECT_EQ(world.job(last).phase(), DONE);
  EXPECT_EQ(world.job(last).result(), REFUSED);
  EXPECT_EQ(difference(records_of(world.read()), records_of(world.engine.state())), "");
}

TEST(Engine, EventsOfASubmissionThatWasNotStoredAreNotThereLater) {
  World world(1);
  world.schedule = false;
  SubmitRequest request;
  for (int i = 0; i < 20'000; ++i) *request.add_jobs() = spec_of("a", 1);
  const auto before = world.records;
  ASSERT_TRUE(world.engine.submit(request, kAlice, world.now));
  // The master dies before the transaction that has the header.
  auto left = std::exchange(world.records, before);
  std::erase_if(left, [&](const auto& one) { return one.first == kHeaderKey; });
  ASSERT_GT(std::ranges::count_if(left, [](const auto& one) { return one.first[0] == 'e'; }), 2);
  for (const auto& [key, value] : left) world.records.emplace(key, value);
  world.crash();
  EXPECT_TRUE(world.engine.state().jobs.empty());
  request.clear_jobs();
  // Several events in each record, so that theirs do not begin where those did.
  for (int i = 0; i < 7; ++i) *request.add_jobs() = spec_of("b", 1);
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(world.engine.submit(request, kAlice, world.now));
  world.crash();
  std::uint64_t last = 0;
  for (const Event& event : world.engine.state().events) ASSERT_EQ(event.id(), ++last);
  EXPECT_EQ(difference(records_of(world.read()), records_of(world.engine.state())), "");
}

TEST(Engine, ManyLargeJobsOnANodeFitIntoItsOrders) {
  World world(1);
  world.schedule = false;
  JobSpec spec = spec_of("a", 1, {"steps=100000"});
  spec.mutable_run()->set_script("#!" + std::string(120'000, 'x'));
  std::vector<std::uint64_t> waiting;
  for (int i = 0; i < 60; ++i) waiting.push_back(world.submit(spec));
  FakeNode& node = world.nodes.at("n0");
  for (int round = 0; round < 4; ++round) {
    std::erase_if(waiting, [&](std::uint64_t id) {
      Start start{.job = id, .nodes = {"n0"}, .shares = {}};
      start.shares.emplace_back();
      return world.engine.start(start, world.now).has_value();
    });
    const ApplyRequest request = world.engine.orders("n0", world.now);
    ASSERT_LT(request.ByteSizeLong(), 4u << 20);
    ASSERT_TRUE(node.apply(request, world.now));
    world.now += 10;
    ASSERT_TRUE(world.engine.report(node.report(world.now), world.now));
  }
  EXPECT_TRUE(waiting.empty()) << waiting.size();
  EXPECT_LT(world.engine.orders("n0", world.now).ByteSizeLong(), 16u << 10) << "what it has is not said again";
  // Another agent is there, which has perhaps lost all.
  NodeReport other;
  *other.mutable_facts() = node.facts();
  other.set_instance(99);
  other.set_sequence(1);
  ASSERT_TRUE(world.engine.report(other, world.now));
  EXPECT_FALSE(world.engine.orders("n0", world.now).attempts(0).spec().run().script().empty());
}

TEST(Engine, WordsOfPeopleAreCutBetweenCharacters) {
  World world(1);
  world.schedule = false;
  const auto id = world.submit(spec_of("a", 1));
  const std::string reason = std::string(1023, 'x') + "\u00e9";
  ASSERT_TRUE(
      world.engine.control(id, {.verb = ControlRequest::HOLD, .priority = {}, .reason = reason}, kAlice, world.now));
  ControlNodeRequest drain;
  drain.set_verb(ControlNodeRequest::DRAIN);
  drain.set_text(reason);
  ASSERT_TRUE(world.engine.control_node("n0", drain, kRoot, world.now));
  EXPECT_EQ(difference(records_of(world.read()), records_of(world.engine.state())), "");
  EXPECT_EQ(world.engine.state().nodes.at("n0").record.drain_reason(), std::string(1023, 'x'));
}

TEST(Engine, UsersControlTheirOwnJobs) {
  World world(1);
  const auto id = world.submit(spec_of("a", 1, {"steps=1000"}));
  const auto refused = world.control(id, ControlRequest::STOP, kBob);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kPermission);
  EXPECT_TRUE(world.control(id, ControlRequest::STOP, kRoot));
}

TEST(Engine, WhatCannotBeIsRefusedAtOnce) {
  World world(2);
  const auto refused = [&](JobSpec spec, std::string_view because, Errc code = Errc::kInvalidArgument) {
    SubmitRequest request;
    *request.add_jobs() = std::move(spec);
    const auto result = world.engine.submit(request, kAlice, world.now);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    EXPECT_NE(result.error().message().find(because), std::string::npos) << result.error().message();
  };
  refused(spec_of("no spaces", 1), "name");
  JobSpec spec = spec_of("a", 1);
  spec.mutable_resources()->set_gpus_per_node(16);
  refused(spec, "resources.gpus_per_node: 16 are asked for, no node has more than 8", Errc::kUnsupported);
  refused(spec_of("a", 3), "resources.nodes: 3 are asked for, the cluster has 2", Errc::kUnsupported);
  spec = spec_of("a", 1);
  spec.mutable_placement()->add_require("infiniband");
  refused(spec, "placement.require: no node has the label 'infiniband'", Errc::kUnsupported);
  spec = spec_of("a", 1);
  spec.mutable_placement()->add_only("n7");
  refused(spec, "placement.only: there is no node 'n7'", Errc::kUnsupported);
  spec = spec_of("a", 2);
  spec.mutable_placement()->add_exclude("n0");
  refused(spec, "resources.nodes: 1 of 2 nodes have all that this job asks for, it needs 2", Errc::kUnsupported);
  spec = spec_of("a", 1);
  spec.set_priority(static_cast<Priority>(42));
  refused(spec, "priority: 42 is none of the known ones");
  spec = spec_of("a", 1);
  spec.mutable_run()->add_command("\xff");
  refused(spec, "run.command: byte 0 is no UTF-8 text");
  spec = spec_of("a", 1);
  spec.mutable_run()->add_command(std::string(1 << 20, 'x'));
  refused(spec, "takes");
  spec = spec_of("a", 1);
  spec.mutable_run()->set_workdir("here");
  refused(spec, "workdir");
  spec = spec_of("a", 1);
  spec.add_depends()->set_job(99);
  spec.mutable_depends(0)->set_condition(Dependency::AFTER_OK);
  refused(spec, "job 99", Errc::kNotFound);
  Quota quota;
  quota.set_user("*");
  quota.set_queue("*");
  quota.set_priority(HIGH);
  quota.set_nodes(1);
  ASSERT_TRUE(world.engine.set_quota(quota, false, kRoot, world.now));
  spec = spec_of("a", 2);
  spec.set_priority(HIGH);
  refused(spec, "resources.nodes: 2 is more than the quota of 1 nodes", Errc::kExhausted);
}

TEST(Engine, SharesAreAdministratorsAndKept) {
  World world(1);
  const Actor ann{.user = "ann", .uid = 1000, .gid = 1000};
  EXPECT_EQ(world.engine.set_share("ann", 2, false, ann, world.now).error().code(), Errc::kPermission);
  for (const double weight : {0.0, -1.0, 1001.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(world.engine.set_share("ann", weight, false, kRoot, world.now).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(world.engine.set_share("a b", 2, false, kRoot, world.now).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(world.engine.set_share("ann", 0, true, kRoot, world.now).error().code(), Errc::kNotFound);
  ASSERT_TRUE(world.engine.set_share("ann", 2.5, false, kRoot, world.now));
  ASSERT_TRUE(world.engine.set_share("bob", 3, false, kRoot, world.now));
  ASSERT_TRUE(world.engine.set_share("bob", 0, true, kRoot, world.now));
  State read;
  for (const auto& [key, value] : records_of(world.engine.state())) ASSERT_TRUE(read_record(key, value, read)) << key;
  EXPECT_EQ(read.shares, (std::map<std::string, double>{{"ann", 2.5}}));
}

// flux 5579: a job whose cleanup did not end held its nodes without a word.
TEST(Engine, ARankThatCannotBeKilledDrainsItsNode) {
  World world(1);
  const auto id = world.submit(spec_of("a", 1, {"steps=1000"}));
  world.run(300);
  // The node goes on reporting, and hears nothing.
  world.engine.take_dirty_nodes();
  ASSERT_TRUE(world.control(id, ControlRequest::STOP));
  for (int i = 0; i < 1500; ++i, world.now += 10) {
    world.engine.tick(world.now);
    (void)world.engine.report(world.nodes.at("n0").report(world.now), world.now);
    world.engine.take_dirty_nodes();
  }
  EXPECT_EQ(world.job(id).result(), STOPPED);
  EXPECT_TRUE(world.engine.state().nodes.at("n0").record.draining());
}

TEST(Engine, OldJobsAndEventsGo) {
  World world(1, {.failure_timeout_ms = 500, .done_jobs_max = 5, .events_max = 50});
  for (int i = 0; i < 30; ++i) {
    const auto id = world.submit(spec_of("a", 1, {"steps=0"}));
    ASSERT_TRUE(world.control(id, ControlRequest::STOP));
    world.run(50);
  }
  world.run(5000);
  EXPECT_LE(world.engine.state().jobs.size(), 6u);
  EXPECT_LE(world.engine.state().events.size(), 60u);
  EXPECT_EQ(difference(records_of(world.read()), records_of(world.engine.state())), "");
  EXPECT_EQ(world.engine.state().header.jobs_done(), 30u);
}

// Random people, nodes and losses; after every change what is stored is what is in memory, and at random changes the
// master is replaced.
TEST(Engine, RandomHistoriesReplayToTheSameState) {
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    World world(5);
    world.rng = Rng(seed);
    world.loss = seed % 3 == 0 ? 0.1 : 0;
    Rng rng(seed * 7919);
    bool crash = false;
    world.on_change = [&] {
      ASSERT_EQ(difference(records_of(world.read()), records_of(world.engine.state())), "") << "seed " << seed;
      crash |= rng.below(25) == 0;
    };
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 400; ++i) {
      const auto dice = rng.below(100);
      if (dice < 12) {
        JobSpec spec =
            spec_of("j", static_cast<std::uint32_t>(1 + rng.below(4)),
                    {fmt::format("steps={}", rng.below(40)),
                     fmt::format("exit={}", rng.below(4) == 0   ? 75
                                            : rng.below(8) == 0 ? 1
                                                                : 0),
                     fmt::format("save={}", rng.below(2)), fmt::format("deaf={}", rng.below(10) == 0 ? 1 : 0),
                     fmt::format("rate={}", rng.below(3) * 10)});
        if (rng.below(3) == 0) spec.mutable_retry()->add_on(REQUEUE_EXIT);
        if (!ids.empty() && rng.below(4) == 0) {
          spec.add_depends()->set_condition(static_cast<Dependency::Condition>(1 + rng.below(4)));
          spec.mutable_depends(0)->set_job(ids[rng.below(ids.size())]);
        }
        spec.set_hold(rng.below(10) == 0);
        ids.push_back(world.submit(spec));
      } else if (dice < 30 && !ids.empty()) {
        (void)world.control(ids[rng.below(ids.size())], static_cast<ControlRequest::Verb>(1 + rng.below(6)));
      } else if (dice < 40 && !world.engine.live().empty()) {
        (void)world.engine.preempt(*world.engine.live().begin(), 0, "test", world.now);
      } else if (dice < 43) {
        world.silent.insert(fmt::format("n{}", rng.below(5)));
      } else if (dice < 50) {
        world.silent.clear();
      } else if (dice < 51) {
        world.nodes.at(fmt::format("n{}", rng.below(5))).lose_all();
      }
      world.run(rng.below(150));
      if (std::exchange(crash, false)) world.crash();
      ASSERT_FALSE(HasFatalFailure());
    }
    // All ends, once nothing is in the way any more.
    world.silent.clear();
    world.loss = 0;
    for (const auto id : ids) {
      (void)world.control(id, ControlRequest::RELEASE);
      (void)world.control(id, ControlRequest::RESUME);
    }
    for (const auto& [name, node] : world.nodes) {
      ControlNodeRequest undrain;
      undrain.set_verb(ControlNodeRequest::UNDRAIN);
      (void)world.engine.control_node(name, undrain, kRoot, world.now);
    }
    world.run(20'000);
    for (const auto id : ids) {
      if (world.job(id).phase() == SUSPENDED) (void)world.control(id, ControlRequest::RESUME);
    }
    const auto done = [&] {
      return std::ranges::all_of(ids, [&](std::uint64_t id) { return world.job(id).phase() == DONE; });
    };
    for (int i = 0; i < 200 && !done(); ++i) world.run(1000);
    for (const auto id : ids) {
      EXPECT_EQ(world.job(id).phase(), DONE)
          << "seed " << seed << " job " << id << ": " << world.job(id).ShortDebugString();
      for (int a = 0; a + 1 < world.job(id).attempts_size(); ++a) EXPECT_EQ(world.job(id).attempts(a).phase(), CLOSED);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ff::ctl
