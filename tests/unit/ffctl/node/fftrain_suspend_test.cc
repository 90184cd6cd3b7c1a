// fftrain as a job: suspended at a moment that nobody chose, moved to the next attempt, it ends with the bits of a run
// that was never disturbed. Random is the step of the first proposal; where it leaves is what agent and ranks agree on.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "libcommon/testing/free_ports.hpp"
#include "tests/unit/ffctl/node/agent_world.hpp"

namespace ff::ctl {

const char* const kFfnoded = FF_FFNODED;

namespace {

constexpr int kSteps = 1000;

DesiredAttempt training(AgentWorld& w, std::uint64_t number, const std::string& folder, std::uint32_t ranks) {
  DesiredAttempt job = AgentWorld::job(number,
                                       {FF_FFTRAIN,
                                        "--text",
                                        w.temp.file("text"),
                                        "--layers",
                                        "2",
                                        "--heads",
                                        "2",
                                        "--dim",
                                        "32",
                                        "--ctx",
                                        "32",
                                        "--batch",
                                        "8",
                                        "--steps",
                                        std::to_string(kSteps),
                                        "--checkpoint",
                                        w.temp.file(folder),
                                        "--resume",
                                        "--checkpoint-every",
                                        "0",
                                        "--sample",
                                        "0"},
                                       ranks);
  const auto ports = testing::free_ports(1);
  EXPECT_TRUE(ports);
  job.set_rendezvous_port(ports ? ports->front() : 29511);
  return job;
}

std::string last_checkpoint(AgentWorld& w, const std::string& folder) {
  std::ifstream file(w.temp.file(folder) + "/step-00001000.ckpt", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Through proposals until one holds, as the master does it. The number of steps that were done. To be asked before the
// ranks are that far: training takes a second, and how late a test on a busy machine learns of a step has no bound.
Task<std::uint64_t> suspend(AgentWorld& w, DesiredAttempt job, std::uint64_t proposal) {
  const std::uint64_t number = job.job();
  job.set_want(DesiredAttempt::SUSPEND);
  for (std::uint64_t round = 1; round < 2000; ++round) {
    job.mutable_fence()->set_round(round);
    // Steps take a millisecond: a margin of as many as fit into a round trip would be passed time and again. Before the
    // ranks have a page nothing holds.
    const std::uint64_t done = w.attempt(number).step_max();
    if (done >= proposal) proposal = done + 20 * round;
    job.mutable_fence()->set_step(proposal);
    EXPECT_TRUE(co_await w.apply({job}));
    if (!w.attempt(number).fence_holds()) {
      EXPECT_TRUE(co_await runtime::sleep(5ms));
      continue;
    }
    job.mutable_fence()->set_committed(true);
    EXPECT_TRUE(co_await w.apply({job}));
    break;
  }
  EXPECT_TRUE(co_await w.until_state(number, AttemptReport::CLEAN));
  for (const RankReport& rank : w.attempt(number).ranks()) {
    EXPECT_EQ(rank.exit_code(), 0);
    EXPECT_EQ(rank.saved_step(), w.attempt(number).ranks(0).saved_step());
  }
  co_return w.attempt(number).ranks(0).saved_step();
}

TEST(FftrainJob, SuspendedAtAnyMomentItEndsWithTheSameWeights) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  AgentWorld world;
  std::ofstream text(world.temp.file("text"));
  for (int i = 0; i < 2000; ++i) text << "the source code may be copied " << i * 7919 % 101 << "\n";
  text.close();
  world.run([seed](AgentWorld& w) -> Task<void> {
    std::mt19937 random(seed);
    EXPECT_TRUE(co_await w.apply({training(w, 1, "whole", 2)}));
    EXPECT_TRUE(co_await w.until_state(1, AttemptReport::CLEAN, 120s));
    EXPECT_EQ(w.attempt(1).ranks(0).exit_code(), 0) << co_await w.log(1);
    const std::string whole = last_checkpoint(w, "whole");
    EXPECT_FALSE(whole.empty());

    DesiredAttempt job = training(w, 2, "parts", 2);
    std::uint64_t left = 0;
    for (int part = 0; part < 2; ++part) {
      job.set_attempt(static_cast<std::uint32_t>(part) + 1);
      job.set_resume_step(left);
      const std::uint64_t at = left + 1 + random() % 300;
      EXPECT_TRUE(co_await w.apply({job}));
      const std::uint64_t now = co_await suspend(w, job, at);
      EXPECT_GE(now, at);
      EXPECT_LT(now, static_cast<std::uint64_t>(kSteps));
      left = now;
    }
    job.set_attempt(3);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(2, AttemptReport::CLEAN, 120s));
    EXPECT_EQ(w.attempt(2).ranks(0).saved_step(), static_cast<std::uint64_t>(kSteps));
    EXPECT_TRUE(last_checkpoint(w, "parts") == whole);
  });
}

TEST(FftrainJob, SuspendedItGoesOnWithMoreRanks) {
  AgentWorld world;
  std::ofstream text(world.temp.file("text"));
  for (int i = 0; i < 2000; ++i) text << "the source code may be copied " << i * 7919 % 101 << "\n";
  text.close();
  world.run([](AgentWorld& w) -> Task<void> {
    DesiredAttempt job = training(w, 3, "parts", 1);
    EXPECT_TRUE(co_await w.apply({job}));
    const std::uint64_t left = co_await suspend(w, job, 50);
    EXPECT_GE(left, 50u);
    EXPECT_LT(left, static_cast<std::uint64_t>(kSteps));
    job = training(w, 3, "parts", 2);
    job.set_attempt(2);
    job.set_resume_step(left);
    EXPECT_TRUE(co_await w.apply({job}));
    EXPECT_TRUE(co_await w.until_state(3, AttemptReport::CLEAN, 120s));
    EXPECT_EQ(w.attempt(3).ranks_size(), 2);
    EXPECT_EQ(w.attempt(3).ranks(0).exit_code(), 0);
    EXPECT_EQ(w.attempt(3).ranks(0).saved_step(), static_cast<std::uint64_t>(kSteps));
  });
}

}  // namespace
}  // namespace ff::ctl
