#include "ffbench/net/agent_process.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

using namespace std::chrono_literals;

TEST(AgentProcess, ReadsTheLineThatAnAgentSaysWhenItListens) {
  const auto ready = parse_ready_line("ffbench-net-agent 1 4711 10.0.0.1,10.1.0.1");
  ASSERT_TRUE(ready && *ready);
  EXPECT_EQ((*ready)->port, 4711);
  EXPECT_EQ((*ready)->addresses, (std::vector<std::string>{"10.0.0.1", "10.1.0.1"}));
  EXPECT_TRUE((*parse_ready_line("ffbench-net-agent 1 1 -"))->addresses.empty());
}

TEST(AgentProcess, PassesOverWhatALoginShellPrintsAndRefusesNonsense) {
  EXPECT_FALSE(*parse_ready_line("Welcome to node7"));
  EXPECT_FALSE(*parse_ready_line(""));
  EXPECT_EQ(parse_ready_line("ffbench-net-agent 2 4711 -").error().code(), Errc::kUnsupported);
  for (const char* bad : {"ffbench-net-agent 1", "ffbench-net-agent 1 0 -", "ffbench-net-agent 1 70000 -",
                          "ffbench-net-agent 1 12x -", "ffbench-net-agent 1 12 - -"})
    EXPECT_FALSE(parse_ready_line(bad)) << bad;
}

TEST(AgentProcess, SaysThatACommandEndedOrIsNotThere) {
  auto ended = AgentProcess::start("b", {"/bin/true"});
  ASSERT_TRUE(ended);
  const auto ready = ended->wait_until_ready("insecure\n", Deadline::after(10s), {});
  ASSERT_FALSE(ready);
  EXPECT_TRUE(ready.error().message().starts_with("peer b: ")) << ready.error().message();
  EXPECT_EQ(AgentProcess::start("b", {"/no/such/program"}).error().code(), Errc::kNotFound);
}

TEST(AgentProcess, WaitsNoLongerThanItsDeadlineAndEndsWhatItStarted) {
  auto silent = AgentProcess::start("b", {"/bin/cat", "/dev/null", "-"});
  ASSERT_TRUE(silent);
  auto talks = AgentProcess::start("c", {"/bin/sleep", "1000"});
  ASSERT_TRUE(talks);
  EXPECT_EQ(talks->wait_until_ready("insecure\n", Deadline::after(100ms), {}).error().code(), Errc::kTimeout);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(talks->wait_until_ready("insecure\n", Deadline::after(10s), stop.get_token()).error().code(),
            Errc::kCancelled);
  // The destructors: cat ends with its input, sleep is killed after kEndWait.
}

TEST(AgentProcess, ManyThatDoNotEndHaveOneDeadlineTogether) {
  std::vector<AgentProcess> processes;
  for (int i = 0; i < 3; ++i) {
    auto process = AgentProcess::start("b", {"/bin/sleep", "1000"});
    ASSERT_TRUE(process);
    processes.push_back(std::move(*process));
  }
  const auto began = std::chrono::steady_clock::now();
  AgentProcess::end(processes);
  processes.clear();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2 * kEndWait);
}

}  // namespace
}  // namespace ff::bench
