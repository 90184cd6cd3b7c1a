// The agent as its master sees it: a real ffnoded, real ranks.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "ffctl/ffjob/rank_page.hpp"
#include "tests/unit/ffctl/node/agent_world.hpp"

namespace ff::ctl {

const char* const kFfnoded = FF_FFNODED;

namespace {

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(Agent, ReportsWhatItIs) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    const NodeFacts& facts = w.master.last.facts();
    EXPECT_EQ(facts.name(), "n1");
    EXPECT_EQ(facts.host(), "127.0.0.1");
    EXPECT_EQ(facts.gpus(), 4u);
    EXPECT_TRUE(facts.fake_gpus());
    EXPECT_GT(facts.cpus(), 0u);
    EXPECT_GT(facts.memory_bytes(), 0u);
    const auto before = w.master.reports;
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.master.reports > before + 1; })) << "no heartbeat";
  });
}

TEST(Agent, RunsAJobToItsEnd) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::shell(7, "echo out; echo err >&2; env; pwd; exit 0", 2);
    (*job.mutable_spec()->mutable_run()->mutable_environment())["COLOUR"] = "very red";
    (*job.mutable_spec()->mutable_run()->mutable_environment())["FF_JOB"] = "forged";
    job.mutable_spec()->set_checkpoint("/ckpt");
    job.set_resume_step(12);
    job.add_gpus(1);
    job.add_gpus(3);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(7, AttemptReport::CLEAN));
    const AttemptReport& end = w.attempt(7);
    EXPECT_EQ(end.ranks_size(), 2);
    if (end.ranks_size() != 2) co_return;
    EXPECT_EQ(end.ranks(1).rank(), 1u);
    EXPECT_EQ(end.ranks(1).state(), RankReport::ENDED);
    EXPECT_EQ(end.ranks(1).exit_code(), 0);
    EXPECT_EQ(end.trouble(), "");
    const std::string log = co_await w.log(7, 1);
    for (const char* line :
         {"COLOUR=very red\n", "FF_JOB=7\n", "FF_JOB_NAME=job-7\n", "FF_ATTEMPT=1\n", "FF_RESUME_STEP=12\n",
          "FF_CHECKPOINT_DIR=/ckpt\n", "FF_NODES=1\n", "RANK=1\n", "WORLD_SIZE=2\n", "LOCAL_RANK=1\n",
          "MASTER_ADDR=127.0.0.1\n", "MASTER_PORT=29500\n", "CUDA_VISIBLE_DEVICES=1,3\n", "HFR_TOKEN="})
      EXPECT_TRUE(holds(log, line)) << line << log;
    EXPECT_TRUE(log.starts_with("out\nerr\n") && log.ends_with("/\n")) << log;
    EXPECT_EQ(end.log_bytes() > 100, true);
  });
}

TEST(Agent, ReportsAtOnceWhenSomethingHappens) {
  AgentWorld world;
  world.extra = {"--heartbeat", "60s"};
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(1, "sleep 0.3; exit 4")}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN, 10s));
    EXPECT_EQ(w.attempt(1).ranks(0).exit_code(), 4);
  });
}

TEST(Agent, ARankThatFailsEndsTheOthers) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(2, "test $RANK = 1 && exit 3; exec sleep 1000", 3)}));
    EXPECT_TRUE(co_await w.until_state(2, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(2).ranks(1).exit_code(), 3);
    EXPECT_EQ(w.attempt(2).ranks(0).exit_code(), 128 + SIGTERM);
    EXPECT_LT(w.attempt(2).ranks(1).ended_ms(), w.attempt(2).ranks(0).ended_ms() + 1);
    EXPECT_EQ(w.processes_left(2), 0u);
  });
}

TEST(Agent, AKilledAgentFindsItsRanksAgain) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(3, "echo before; sleep 1.5; echo after; exit 7"),
                                  AgentWorld::shell(4, "sleep 0.2; exit 9"), AgentWorld::shell(5, "exec sleep 1000")}));
    EXPECT_TRUE(co_await w.until_state(5, AttemptReport::RUNNING));
    const int pid = w.attempt(5).ranks(0).pid();
    w.kill_agent(SIGKILL);
    EXPECT_TRUE(co_await runtime::sleep(500ms));
    w.start_agent();
    EXPECT_TRUE(co_await w.connected());
    EXPECT_TRUE(co_await w.until_state(5, AttemptReport::RUNNING));
    EXPECT_EQ(w.attempt(5).ranks(0).pid(), pid);
    EXPECT_EQ(::kill(pid, 0), 0);
    EXPECT_TRUE(co_await w.until_state(4, AttemptReport::CLEAN)) << "ended while nobody looked";
    EXPECT_EQ(w.attempt(4).ranks(0).exit_code(), 9);
    EXPECT_TRUE(co_await w.until_state(3, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(3).ranks(0).exit_code(), 7);
    EXPECT_EQ(co_await w.log(3), "before\nafter\n");
  });
}

TEST(Agent, ARankWhoseSupervisorIsKilledEnds) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(6, "setsid sleep 1000 & exec sleep 1000")}));
    EXPECT_TRUE(co_await w.until_state(6, AttemptReport::RUNNING));
    EXPECT_TRUE(co_await runtime::sleep(200ms));
    const auto all = processes();
    ::kill(all.at(w.attempt(6).ranks(0).pid()).parent, SIGKILL);
    EXPECT_TRUE(co_await w.until_state(6, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(6).ranks(0).exit_code(), 128 + SIGKILL);
    EXPECT_EQ(w.processes_left(6), 0u);
  });
}

TEST(Agent, StopsWhatIgnoresSignalsAfterTheGracePeriod) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::shell(8, "trap '' TERM INT HUP USR1; echo ready; while :; do sleep 0.1; done");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(8).log_bytes() > 0; }));
    job.set_want(DesiredAttempt::STOP);
    job.set_grace_left_ms(400);
    const auto begin = w.env->now();
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(8, AttemptReport::CLEAN));
    EXPECT_GE(w.env->now() - begin, 350ms);
    EXPECT_LT(w.env->now() - begin, 5s);
    EXPECT_EQ(w.attempt(8).ranks(0).exit_code(), 128 + SIGKILL);
    EXPECT_EQ(w.processes_left(8), 0u);
  });
}

TEST(Agent, KillsAtOnce) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::shell(9, "trap '' TERM; while :; do sleep 0.1; done");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(9, AttemptReport::RUNNING));
    job.set_want(DesiredAttempt::KILL);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(9, AttemptReport::CLEAN, 5s));
  });
}

// Daemons, with and without cgroups: a session of their own, orphaned, and an environment that says nothing.
void daemons_are_found(std::vector<std::string> extra) {
  AgentWorld world;
  world.extra = std::move(extra);
  world.run([](AgentWorld& w) -> Task<void> {
    const std::string sleeper = w.temp.file("sleeper");
    std::filesystem::copy_file("/bin/sleep", sleeper);
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(
        10, "(setsid " + sleeper + " 1000 &) ; (setsid env -i " + sleeper + " 1001 &) ; sleep 0.3; exit 0")}));
    EXPECT_TRUE(co_await w.until_state(10, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(10).ranks(0).exit_code(), 0);
    for (const auto& [pid, info] : processes(true))
      EXPECT_FALSE(info.command.starts_with(sleeper)) << pid << " " << info.command;
  });
}
TEST(Agent, FindsDaemonsWithCgroups) { daemons_are_found({}); }
TEST(Agent, FindsDaemonsWithoutCgroups) { daemons_are_found({"--no-cgroups"}); }

TEST(Agent, ClearsSharedMemoryThatARankLeaves) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    const std::string shared = "/dev/shm/ffnoded-test-" + std::to_string(::getpid());
    const std::string others = shared + "-other";
    std::ofstream(others) << "not theirs";
    DesiredAttempt job = AgentWorld::shell(11, "exec 9>" + shared + "; echo ready; exec sleep 1000");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(11).log_bytes() > 0; }));
    EXPECT_EQ(::access(shared.c_str(), F_OK), 0);
    job.set_want(DesiredAttempt::KILL);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(11, AttemptReport::CLEAN));
    EXPECT_NE(::access(shared.c_str(), F_OK), 0);
    EXPECT_EQ(::access(others.c_str(), F_OK), 0);
    ::unlink(others.c_str());
  });
}

TEST(Agent, SaysWhyAJobCannotStart) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt missing = AgentWorld::job(12, {"/no/such/program"});
    DesiredAttempt nowhere = AgentWorld::shell(13, "true");
    nowhere.mutable_spec()->mutable_run()->set_workdir("/no/such/folder");
    DesiredAttempt empty = AgentWorld::job(14, {});
    DesiredAttempt zero = AgentWorld::job(15, {"/bin/echo", std::string("a\0b", 3)});
    EXPECT_TRUE(co_await w.apply({missing, nowhere, empty, zero}));
    for (const auto& [job, reason] : {std::pair(12, "/no/such/program"), std::pair(13, "/no/such/folder"),
                                      std::pair(14, "command: is empty"), std::pair(15, "zero byte")}) {
      EXPECT_TRUE(co_await w.until_state(static_cast<std::uint64_t>(job), AttemptReport::FAILED)) << job;
      EXPECT_TRUE(holds(w.attempt(static_cast<std::uint64_t>(job)).trouble(), reason))
          << w.attempt(static_cast<std::uint64_t>(job)).trouble();
      EXPECT_EQ(w.processes_left(static_cast<std::uint64_t>(job)), 0u);
    }
  });
}

TEST(Agent, PassesWordsThatNoShellWouldKeep) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    const std::string odd = "a b\tc\nd'\"$(touch /tmp/x)`;|&\\ \x01 \xc3\xa9";
    std::vector<std::string> many{"/bin/sh", "-c", "echo $#; echo ${#20}; printf %s \"$1\"", "name", odd};
    while (many.size() < 15) many.emplace_back(100'000, 'x');
    many.emplace_back(std::string(60'000, 'y'));
    EXPECT_TRUE(
        co_await w.apply({AgentWorld::job(16, many), AgentWorld::job(17, {"/bin/echo", std::string(1u << 20, 'z')})}));
    EXPECT_TRUE(co_await w.until_state(16, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(16).ranks(0).exit_code(), 0);
    EXPECT_TRUE((co_await w.log(16)).ends_with(odd));
    EXPECT_TRUE(co_await w.until_state(17, AttemptReport::FAILED)) << "one word of 1 MiB is more than the kernel takes";
    EXPECT_TRUE(holds(w.attempt(17).trouble(), "too long")) << w.attempt(17).trouble();
  });
}

// What the master does, over and over until it is done: a fence two steps ahead, committed when it holds.
Task<void> suspend(AgentWorld& w, DesiredAttempt job) {
  job.set_want(DesiredAttempt::SUSPEND);
  job.mutable_fence()->set_round(1);
  EXPECT_TRUE(co_await w.apply({job}));
  for (std::uint64_t round = 2; round < 200; ++round) {
    job.mutable_fence()->set_round(round);
    job.mutable_fence()->set_step(w.attempt(job.job()).step_max() + 2 + round % 5);
    EXPECT_TRUE(co_await w.apply({job}));
    const AttemptReport& answer = w.attempt(job.job());
    EXPECT_EQ(answer.fence_round(), round);
    if (!answer.fence_holds()) continue;
    job.mutable_fence()->set_committed(true);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(job.job(), AttemptReport::CLEAN));
    co_return;
  }
  ADD_FAILURE() << "no fence held";
}

TEST(Agent, SuspendsAtAStepOnWhichAllAgree) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::job(18, {FF_C_API_TEST, "loop"}, 3);
    job.set_resume_step(100);
    job.set_state("hello");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(18).step_max() > 120; }));
    co_await suspend(w, job);
    const AttemptReport& end = w.attempt(18);
    for (const RankReport& rank : end.ranks()) {
      EXPECT_EQ(rank.exit_code(), 0);
      EXPECT_TRUE(rank.seen());
      EXPECT_EQ(rank.saved_step(), end.ranks(0).saved_step());
    }
    EXPECT_GT(end.ranks(0).saved_step(), 120u);
    EXPECT_EQ(w.master.states[18], "kept");
    EXPECT_GT(end.first_seen_ms(), 0u);
    EXPECT_GT(end.saved_ms(), 0u);
    const std::string log = co_await w.log(18, 2);
    EXPECT_EQ(log, "attempt 1 step 100 state 'hello'\nleft at " + std::to_string(end.ranks(0).saved_step()) + "\n");
  });
}

TEST(Agent, AnAgentThatIsKilledWhileItSuspendsGoesOn) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::job(19, {FF_C_API_TEST, "loop"}, 2);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(19).step_max() > 20; }));
    job.set_want(DesiredAttempt::SUSPEND);
    job.mutable_fence()->set_round(1);
    job.mutable_fence()->set_step(w.attempt(19).step_max() + 300);
    EXPECT_TRUE(co_await w.apply({job}));
    w.kill_agent(SIGKILL);
    EXPECT_TRUE(co_await runtime::sleep(600ms)) << "the ranks come to the fence and wait";
    w.start_agent();
    EXPECT_TRUE(co_await w.connected());
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(w.attempt(19).fence_holds());
    job.mutable_fence()->set_committed(true);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(19, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(19).ranks(0).saved_step(), job.fence().step());
    EXPECT_EQ(w.attempt(19).ranks(1).saved_step(), job.fence().step());
  });
}

TEST(Agent, TellsProgramsWithoutTheLibraryBySignalAndKillsThemInTheEnd) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt polite =
        AgentWorld::shell(20, "trap 'echo saved; exit 0' USR1; echo ready; while :; do sleep 0.05; done");
    DesiredAttempt rude = AgentWorld::shell(21, "trap '' USR1 TERM; while :; do sleep 0.1; done");
    EXPECT_TRUE(co_await w.apply({polite, rude}));
    EXPECT_TRUE(co_await w.until_state(21, AttemptReport::RUNNING));
    EXPECT_TRUE(co_await runtime::sleep(1200ms));
    for (DesiredAttempt* job : {&polite, &rude}) {
      job->set_want(DesiredAttempt::SUSPEND);
      job->mutable_fence()->set_round(1);
      job->set_grace_left_ms(500);
    }
    EXPECT_TRUE(co_await w.apply({polite, rude}));
    EXPECT_TRUE(co_await w.until_state(20, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(20).ranks(0).exit_code(), 0);
    EXPECT_EQ(co_await w.log(20), "ready\nsaved\n");
    EXPECT_TRUE(co_await w.until_state(21, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(21).ranks(0).exit_code(), 128 + SIGKILL);
  });
}

TEST(Agent, YieldAsksToBeStartedAgain) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::job(22, {FF_C_API_TEST, "yield"})}));
    EXPECT_TRUE(co_await w.until_state(22, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(22).ranks(0).exit_code(), 75);
  });
}

TEST(Agent, KeepsTheEndOfLongLogsAndFollowsThem) {
  AgentWorld world;
  world.extra = {"--log-limit", "64KiB"};
  world.run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(
        23, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; sleep 1; echo last; sleep 0.5")}));
    ReadLogRequest request;
    request.set_job(23);
    request.set_attempt(1);
    request.set_bytes(1u << 20);
    request.set_wait_ms(5000);
    std::string all;
    std::uint64_t dropped = 0;
    for (bool complete = false; !complete;) {
      const auto reply = co_await AgentClient(*w.client).read_log(request);
      EXPECT_TRUE(reply) << reply.error().message();
      if (!reply) break;
      dropped += reply->offset() - request.offset();
      all += reply->data();
      request.set_offset(reply->offset() + reply->data().size());
      complete = reply->complete();
    }
    EXPECT_TRUE(all.ends_with("line 19999\nlast\n")) << all.substr(all.size() > 100 ? all.size() - 100 : 0);
    EXPECT_EQ(dropped + all.size(), request.offset());
    EXPECT_EQ(request.offset(), 208'890u + 5) << "offsets count what is gone";
    request.set_from_end(true);
    request.set_offset(5);
    const auto tail = co_await AgentClient(*w.client).read_log(request);
    EXPECT_TRUE(tail && tail->data() == "last\n");
  });
}

TEST(Agent, ANodeWhoseDiskIsFullSaysSoAndIsWellAgain) {
  AgentWorld world;
  const std::string folder = world.temp.file("node");
  ::mkdir(folder.c_str(), 0711);
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2m") != 0)
    GTEST_SKIP() << "cannot mount a small file system (run it as root)";
  const Defer unmount([&] { ::umount2(folder.c_str(), MNT_DETACH); });
  world.run([folder](AgentWorld& w) -> Task<void> {
    EXPECT_EQ(w.master.last.trouble(), "");
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(40, "sleep 2; exit 6")}));
    EXPECT_TRUE(co_await w.until_state(40, AttemptReport::RUNNING));
    std::ofstream(folder + "/filler") << std::string(4u << 20, 'x');
    EXPECT_TRUE(co_await w.until([](const NodeReport& report) { return holds(report.trouble(), "disk is full"); }));
    // What runs ends as ever, also its end cannot be written down.
    EXPECT_TRUE(co_await w.until_state(40, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(40).ranks(0).exit_code(), 6);
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(41, "exit 0")}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(41).state() >= AttemptReport::CLEAN; }));
    std::filesystem::remove(folder + "/filler");
    EXPECT_TRUE(co_await w.until([](const NodeReport& report) { return report.trouble().empty(); }));
  });
}

TEST(Agent, SweepsWhatAnAgentThatDiedHasLeft) {
  AgentWorld world;
  std::filesystem::create_directories(world.temp.file("node/attempts/9-1"));
  struct stat node{};
  ASSERT_EQ(::stat(world.temp.file("node").c_str(), &node), 0);
  const std::string group = world.temp.file("groups") + fmt::format("/ffnoded-n1-{:x}-{:x}", node.st_dev, node.st_ino);
  // The node of another cluster on this machine has the same name.
  const std::string other = world.temp.file("groups") + "/ffnoded-n1-1-1/9-1";
  std::filesystem::create_directories(other);
  std::filesystem::create_directories(group + "/9-1");
  std::filesystem::create_directories(group + "/not-ours");
  // What a folder needs to be taken for one of cgroups.
  std::ofstream(group + "/cgroup.procs") << "";
  std::filesystem::create_directories(world.temp.file("node/pages/9-1"));
  std::ofstream(world.temp.file("node/pages/9-1/control")) << "half";
  world.extra = {"--cgroup", world.temp.file("groups")};
  world.run([group, other](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(std::filesystem::exists(other));
    EXPECT_FALSE(std::filesystem::exists(group + "/9-1"));
    EXPECT_TRUE(std::filesystem::exists(group + "/not-ours"));
    EXPECT_FALSE(std::filesystem::exists(w.temp.file("node/attempts/9-1")));
    EXPECT_FALSE(std::filesystem::exists(w.temp.file("node/pages/9-1")));
    co_return;
  });
}

TEST(Agent, AFullDiskHoldsNoRankUp) {
  AgentWorld world;
  const std::string folder = world.temp.file("node");
  ::mkdir(folder.c_str(), 0711);
  ::mkdir((folder + "/logs").c_str(), 0711);
  if (::mount("tmpfs", (folder + "/logs").c_str(), "tmpfs", 0, "size=256k") != 0)
    GTEST_SKIP() << "cannot mount a small file system (run it as root)";
  const Defer unmount([&] { ::umount2((folder + "/logs").c_str(), MNT_DETACH); });
  world.run([folder](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply(
        {AgentWorld::shell(24, "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; touch " + w.temp.file("full") +
                                   "; while [ ! -e " + w.temp.file("go") + " ]; do sleep 0.05; done; echo the end")}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return ::access(w.temp.file("full").c_str(), F_OK) == 0; }));
    EXPECT_TRUE(co_await runtime::sleep(300ms));
    EXPECT_EQ(::mount("tmpfs", (folder + "/logs").c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
    std::ofstream(w.temp.file("go")) << "go";
    EXPECT_TRUE(co_await w.until_state(24, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(24).ranks(0).exit_code(), 0);
    const std::string log = co_await w.log(24);
    EXPECT_TRUE(holds(log, "bytes of output were lost: the disk took none]\nthe end\n"))
        << log.substr(log.size() - 200);
  });
}

TEST(Agent, ObeysTheNewestMasterAlone) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    const DesiredAttempt job = AgentWorld::shell(25, "exec sleep 1000");
    w.master.epoch = 5;
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(25, AttemptReport::RUNNING));
    w.master.epoch = 4;
    const auto old = co_await w.apply({});
    EXPECT_FALSE(old);
    if (!old) EXPECT_EQ(old.error().code(), Errc::kPermission);
    w.master.epoch = 5;
    w.sequence -= 3;
    EXPECT_TRUE(co_await w.apply({})) << "an older order of the same master is ignored";
    EXPECT_EQ(w.attempt(25).state(), AttemptReport::RUNNING);
    w.kill_agent(SIGKILL);
    w.start_agent();
    EXPECT_TRUE(co_await w.connected());
    w.master.epoch = 4;
    EXPECT_FALSE(co_await w.apply({})) << "also after its own restart";
    w.master.epoch = 6;
    w.sequence = 10;
  });
}

TEST(Agent, TellsOfManyLargeStatesInSeveralReports) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    constexpr std::uint64_t kFirst = 200, kJobs = 20;
    std::vector<DesiredAttempt> jobs;
    for (std::uint64_t i = 0; i < kJobs; ++i) jobs.push_back(AgentWorld::shell(kFirst + i, "exec sleep 1000"));
    EXPECT_TRUE(co_await w.apply(jobs));
    for (std::uint64_t i = 0; i < kJobs; ++i) {
      EXPECT_TRUE(co_await w.until_state(kFirst + i, AttemptReport::RUNNING));
      auto page = RankPage::open(w.page(kFirst + i), 0);
      EXPECT_TRUE(page);
      if (!page) co_return;
      const std::string state(kStateBytesMax, static_cast<char>('a' + i));
      EXPECT_TRUE((*page)->set_state(std::as_bytes(std::span(state))));
    }
    // The master of this test takes a MiB, and they have more.
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.master.states.size() == kJobs; }));
    for (std::uint64_t i = 0; i < kJobs; ++i)
      EXPECT_EQ(w.master.states[kFirst + i], std::string(kStateBytesMax, static_cast<char>('a' + i)));
    EXPECT_TRUE(co_await w.until([](const NodeReport& report) { return report.ByteSizeLong() < 64u << 10; }));
    // Another may not have what the one before has taken.
    w.master.states.clear();
    ++w.master.epoch;
    w.sequence = 100;
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.master.states.size() == kJobs; }));
  });
}

TEST(Agent, KeepsLogsFromTheEndOfTheirJobs) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply({AgentWorld::shell(28, "echo words")}));
    EXPECT_TRUE(co_await w.until_state(28, AttemptReport::CLEAN));
    // One that has run for longer than logs are kept, and one that ended so long ago.
    const std::string mine = w.temp.file("node/logs/28-1"), old = w.temp.file("node/logs/8-1");
    std::filesystem::create_directories(old);
    const timespec then[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0}, {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
    for (const std::string& folder : {mine, old}) EXPECT_EQ(::utimensat(AT_FDCWD, folder.c_str(), then, 0), 0);
    EXPECT_TRUE(co_await w.apply({}));
    EXPECT_TRUE(co_await w.until([](const NodeReport& report) { return report.attempts().empty(); }));
    const std::uint64_t before = w.master.last.instance();
    w.kill_agent(SIGTERM);
    w.start_agent();
    EXPECT_TRUE(co_await w.until([&](const NodeReport& report) { return report.instance() != before; }));
    EXPECT_TRUE(co_await w.connected());
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return !std::filesystem::exists(old); }));
    EXPECT_EQ(co_await w.log(28), "words\n");
  });
}

TEST(Agent, EndsWhatTheMasterDoesNotKnowAndNeverStartsItAgain) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    const DesiredAttempt job = AgentWorld::shell(26, "exec sleep 1000");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(26, AttemptReport::RUNNING));
    EXPECT_TRUE(co_await w.apply({}));
    EXPECT_TRUE(co_await w.until([](const NodeReport& report) { return report.attempts().empty(); }));
    EXPECT_EQ(w.processes_left(26), 0u);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(26, AttemptReport::FAILED));
    DesiredAttempt never = AgentWorld::shell(27, "true");
    never.set_want(DesiredAttempt::STOP);
    EXPECT_TRUE(co_await w.apply({never}));
    EXPECT_EQ(w.attempt(27).state(), AttemptReport::CLEAN) << "nothing of it was ever here";
  });
}

TEST(Agent, RunsRanksAsTheirUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes others";
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::job(28, {FF_C_API_TEST, "yield"});
    DesiredAttempt who = AgentWorld::shell(29, "id -u; id -g; id -G; echo $USER; ls -l $FF_CTL; : > $FF_CTL/control");
    for (DesiredAttempt* each : {&job, &who}) {
      each->set_uid(65534);
      each->set_gid(65534);
      each->set_user("nobody");
    }
    EXPECT_TRUE(co_await w.apply({job, who}));
    EXPECT_TRUE(co_await w.until_state(29, AttemptReport::CLEAN));
    const std::string log = co_await w.log(29);
    EXPECT_TRUE(log.starts_with("65534\n65534\n65534\nnobody\n")) << log;
    EXPECT_NE(w.attempt(29).ranks(0).exit_code(), 0) << "may not write the control page";
    EXPECT_TRUE(co_await w.until_state(28, AttemptReport::CLEAN));
    EXPECT_EQ(w.attempt(28).ranks(0).exit_code(), 75) << "reaches its page: " << co_await w.log(28);
  });
}

TEST(Agent, ListsAndSignalsProcesses) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    EXPECT_TRUE(co_await w.apply(
        {AgentWorld::shell(30, "trap 'echo hup' HUP; echo ready; sleep 1000 & while :; do wait; done", 2)}));
    EXPECT_TRUE(co_await w.until([&](const NodeReport&) { return w.attempt(30).log_bytes() >= 12; }));
    ListProcessesRequest list;
    list.set_job(30);
    const auto listed = co_await AgentClient(*w.client).list_processes(list);
    EXPECT_TRUE(listed);
    if (!listed) co_return;
    EXPECT_EQ(listed->processes_size(), 4);
    std::set<std::uint32_t> ranks;
    for (const auto& process : listed->processes()) ranks.insert(process.rank());
    EXPECT_EQ(ranks.size(), 2u);
    SignalRequest signal;
    signal.set_job(30);
    signal.set_attempt(1);
    signal.set_signal(SIGHUP);
    signal.add_ranks(1);
    const auto signalled = co_await AgentClient(*w.client).signal(signal);
    EXPECT_TRUE(signalled && signalled->signalled() == 1);
    EXPECT_TRUE(co_await runtime::sleep(300ms));
    EXPECT_EQ(co_await w.log(30, 0), "ready\n");
    EXPECT_EQ(co_await w.log(30, 1), "ready\nhup\n");
    signal.set_signal(99);
    EXPECT_FALSE(co_await AgentClient(*w.client).signal(signal));
  });
}

TEST(Agent, RunsScriptsAndChecks) {
  AgentWorld world;
  const std::string ffbench = world.temp.file("ffbench");
  std::ofstream(ffbench) << "#!/bin/sh\necho \"{\\\"args\\\": \\\"$*\\\"}\"\nexit 3\n";
  ::chmod(ffbench.c_str(), 0755);
  world.extra = {"--ffbench", ffbench};
  world.run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::job(31, {"script", "one", "two"});
    job.mutable_spec()->mutable_run()->set_script("#!/bin/sh\necho script \"$@\"\n");
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(31, AttemptReport::CLEAN));
    EXPECT_EQ(co_await w.log(31), "script one two\n");
    RunCheckRequest check;
    check.set_level("quick");
    const auto checked = co_await AgentClient(*w.client).run_check(check);
    EXPECT_TRUE(checked && checked->exit_code() == 3 &&
                checked->json() == "{\"args\": \"node --level quick --json\"}\n");
    check.set_level("odd");
    EXPECT_FALSE(co_await AgentClient(*w.client).run_check(check));
  });
}

TEST(Agent, FindsTheLeaderAndLivesWithoutOne) {
  AgentWorld().run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = AgentWorld::shell(32, "sleep 0.6; exit 5");
    EXPECT_TRUE(co_await w.apply({job}));
    w.master.leads = false;
    EXPECT_TRUE(co_await runtime::sleep(1200ms));
    w.master.leads = true;
    EXPECT_TRUE(co_await w.until_state(32, AttemptReport::CLEAN, 5s)) << "it ran on and told later";
    EXPECT_EQ(w.attempt(32).ranks(0).exit_code(), 5);
  });
}

}  // namespace
}  // namespace ff::ctl
