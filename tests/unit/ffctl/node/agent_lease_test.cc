// Ranks end when no master answers for the time of their lease, whatever becomes of the agent; and no sooner.
#include <algorithm>
#include <fstream>

#include "tests/unit/ffctl/node/agent_world.hpp"

namespace ff::ctl {

const char* const kFfnoded = FF_FFNODED;

namespace {

// Who does not listen to anything: only the kill at the end of the lease ends it.
constexpr const char* kDeaf =
    "trap '' TERM INT HUP USR1; setsid sh -c 'while :; do sleep 0.1; done' & while :; do sleep 0.1; done";

Task<bool> gone(AgentWorld& w, std::uint64_t job, runtime::Duration patience = 20s) {
  const runtime::Time end = w.env->now() + patience;
  while (w.processes_left(job) != 0) {
    if (w.env->now() > end || !co_await runtime::sleep(20ms)) co_return false;
  }
  co_return true;
}

TEST(AgentLease, EndsWithTheMaster) {
  AgentWorld world;
  world.master.lease_ms = 1500;
  world.master.stop_ms = 2500;
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(
        co_await w.apply({AgentWorld::shell(1, kDeaf), AgentWorld::shell(2, "trap 'exit 0' TERM; sleep 1000 & wait")}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    EXPECT_TRUE(co_await w.until_state(2, AttemptReport::RUNNING));
    // As long as it is answered nothing happens.
    EXPECT_TRUE(co_await runtime::sleep(3s));
    EXPECT_GE(w.processes_left(1), 2u);
    w.master.leads = false;
    const runtime::Time silent = w.env->now();
    EXPECT_TRUE(co_await gone(w, 1));
    EXPECT_TRUE(co_await gone(w, 2));
    EXPECT_LT(w.env->now() - silent, 10s);
    EXPECT_GT(w.env->now() - silent, 1s) << "before its lease was over";
    w.master.leads = true;
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
    EXPECT_TRUE(co_await w.until_state(2, AttemptReport::CLEAN));
    EXPECT_TRUE(w.attempt(1).fenced());
    EXPECT_TRUE(w.attempt(2).fenced()) << "its exit code 0 is not that of a job that is complete";
  });
}

TEST(AgentLease, EndsAlsoWithoutTheAgent) {
  AgentWorld world;
  world.master.lease_ms = 1500;
  world.master.stop_ms = 2500;
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, kDeaf, 2)}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    w.kill_agent(SIGKILL);
    EXPECT_TRUE(co_await gone(w, 1));
    w.start_agent();
    EXPECT_TRUE(co_await w.connected());
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
    EXPECT_TRUE(w.attempt(1).fenced());
  });
}

TEST(AgentLease, EndsAlsoWithAnAgentThatIsStopped) {
  AgentWorld world;
  world.master.lease_ms = 1500;
  world.master.stop_ms = 2500;
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, kDeaf)}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    ::kill(w.agent, SIGSTOP);
    EXPECT_TRUE(co_await gone(w, 1));
    ::kill(w.agent, SIGCONT);
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
    EXPECT_TRUE(w.attempt(1).fenced());
  });
}

TEST(AgentLease, AMasterThatIsAwayForAShortTimeChangesNothing) {
  AgentWorld world;
  world.master.lease_ms = 20'000;
  world.master.stop_ms = 25'000;
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, "sleep 2.5; exit 5")}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    w.master.leads = false;
    w.kill_agent(SIGKILL);
    w.start_agent();
    EXPECT_TRUE(co_await runtime::sleep(2s));
    w.master.leads = true;
    EXPECT_TRUE(co_await w.connected());
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
    EXPECT_FALSE(w.attempt(1).fenced());
    EXPECT_EQ(w.attempt(1).ranks(0).exit_code(), 5);
  });
}

TEST(AgentLease, ProgramsWithTheLibraryAreAskedToSaveFirst) {
  AgentWorld world;
  world.master.lease_ms = 1000;
  world.master.stop_ms = 10'000;
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::job(1, {FF_C_API_TEST, "loop"}, 2)}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(1).step_max() > 0; }));
    w.master.leads = false;
    EXPECT_TRUE(co_await gone(w, 1));
    w.master.leads = true;
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
    EXPECT_TRUE(w.attempt(1).fenced());
    for (const RankReport& rank : w.attempt(1).ranks()) {
      EXPECT_EQ(rank.exit_code(), 0);
      EXPECT_TRUE(rank.left());
      EXPECT_GT(rank.saved_step(), 0u);
    }
  });
}

TEST(AgentLease, NothingNewBeginsWithoutOne) {
  AgentWorld world;
  world.master.lease_ms = 1000;
  world.master.stop_ms = 1500;
  world.run([](AgentWorld& w) -> Task<void> {
    w.master.leads = false;
    EXPECT_TRUE(co_await runtime::sleep(1500ms));
    const auto refused = co_await w.apply({AgentWorld::shell(1, "exit 0")});
    EXPECT_FALSE(refused);
    w.master.leads = true;
    const auto before = w.master.reports;
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.master.reports > before + 1; }));
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, "exit 0")}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN));
  });
}

// From before the node was given up for lost: its jobs have been given to others.
TEST(AgentLease, AnOrderThatCameTooLateIsNone) {
  AgentWorld world;
  world.master.lease_ms = 5000;
  world.master.stop_ms = 8000;
  world.run([](AgentWorld& w) -> Task<void> {
    w.master.void_sequence = w.sequence + 1;
    const auto before = w.master.reports;
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.master.reports > before + 1; }));
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, "exec sleep 1000")}));
    EXPECT_TRUE(w.master.last.attempts().empty());
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(2, "exit 0")}));
    EXPECT_TRUE(co_await w.until_state(2, AttemptReport::CLEAN));
    EXPECT_EQ(w.master.last.attempts_size(), 1);
  });
}

TEST(AgentLease, AnOrderIsTakenOnce) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, "exec sleep 1000")}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::RUNNING));
    // The same number again, from far behind on the way: an empty order would end all that runs.
    --w.sequence;
    EXPECT_TRUE(co_await w.apply({}));
    EXPECT_TRUE(co_await runtime::sleep(300ms));
    EXPECT_EQ(w.attempt(1).state(), AttemptReport::RUNNING);
  });
}

}  // namespace
}  // namespace ff::ctl
