// What a node starts of an attempt: words, environment, and what cannot be started.
#include "ffctl/node/launch_plan.hpp"

#include <gtest/gtest.h>

namespace ff::ctl {
namespace {

DesiredAttempt attempt(Launcher launcher, std::uint32_t ranks) {
  DesiredAttempt desired;
  desired.set_job(12);
  desired.set_attempt(3);
  desired.mutable_spec()->mutable_run()->add_command("train");
  desired.mutable_spec()->mutable_run()->set_launcher(launcher);
  desired.mutable_spec()->mutable_run()->set_ranks_per_node(ranks);
  for (const char* node : {"a", "b", "c"}) {
    desired.add_nodes(node);
    desired.add_addresses(std::string("10.0.0.") + node[0]);
  }
  desired.set_node_rank(2);
  desired.set_rendezvous_port(1234);
  return desired;
}

std::string variable(const RankStart& start, const std::string& key) {
  for (const std::string& entry : start.environment())
    if (entry.starts_with(key + "=")) return entry.substr(key.size() + 1);
  return "(none)";
}

RankStart plan(const DesiredAttempt& desired, std::uint32_t local) {
  return launch_plan(desired, local, {"/pages/12-3", ""}, {"ann", "/users/ann", "/bin/sh"},
                     {{"PATH", "/bin"}, {"SECRET", "x"}, {"LC_ALL", "C"}}, "token");
}

TEST(LaunchPlan, PerRankIsWhatHfreduceRunGives) {
  const DesiredAttempt desired = attempt(PER_RANK, 4);
  EXPECT_EQ(local_ranks(desired), 4u);
  EXPECT_EQ(first_rank(desired), 8u);
  EXPECT_EQ(page_slots(desired), 4u);
  const RankStart start = plan(desired, 1);
  EXPECT_EQ(variable(start, "RANK"), "9");
  EXPECT_EQ(variable(start, "WORLD_SIZE"), "12");
  EXPECT_EQ(variable(start, "LOCAL_RANK"), "1");
  EXPECT_EQ(variable(start, "LOCAL_WORLD_SIZE"), "4");
  EXPECT_EQ(variable(start, "MASTER_ADDR"), "10.0.0.a");
  EXPECT_EQ(variable(start, "MASTER_PORT"), "1234");
  EXPECT_EQ(variable(start, "HFR_TOKEN"), "token");
  EXPECT_EQ(variable(start, "FF_CTL"), "/pages/12-3");
  EXPECT_EQ(variable(start, "FF_NODE_LIST"), "a,b,c");
  EXPECT_EQ(variable(start, "HOME"), "/users/ann");
  EXPECT_EQ(variable(start, "LC_ALL"), "C");
  EXPECT_EQ(variable(start, "SECRET"), "(none)") << "of the agent, not of the job";
}

TEST(LaunchPlan, TorchrunHasOneProcessANodeAndNoRank) {
  const DesiredAttempt desired = attempt(TORCHRUN, 8);
  EXPECT_EQ(local_ranks(desired), 1u);
  EXPECT_GE(page_slots(desired), 8u);
  const RankStart start = plan(desired, 0);
  EXPECT_EQ(variable(start, "NODE_RANK"), "2");
  EXPECT_EQ(variable(start, "NNODES"), "3");
  EXPECT_EQ(variable(start, "NPROC_PER_NODE"), "8");
  EXPECT_EQ(variable(start, "RANK"), "(none)");
  EXPECT_EQ(variable(start, "FF_LOCAL_RANK"), "(none)") << "its children have LOCAL_RANK";
}

TEST(LaunchPlan, TheJobsVariablesWinOverTheAgentsAndLoseToOurs) {
  DesiredAttempt desired = attempt(PER_NODE, 1);
  auto& env = *desired.mutable_spec()->mutable_run()->mutable_environment();
  env["PATH"] = "/opt";
  env["FF_ATTEMPT"] = "99";
  env["CUDA_VISIBLE_DEVICES"] = "0,1,2,3";
  env["HFR_LISTEN_FD"] = "3";
  const RankStart start = plan(desired, 0);
  EXPECT_EQ(variable(start, "PATH"), "/opt");
  EXPECT_EQ(variable(start, "FF_ATTEMPT"), "3");
  EXPECT_EQ(variable(start, "CUDA_VISIBLE_DEVICES"), "") << "it asked for none";
  EXPECT_EQ(variable(start, "HFR_LISTEN_FD"), "(none)");
}

TEST(LaunchPlan, AScriptTakesThePlaceOfTheCommand) {
  DesiredAttempt desired = attempt(PER_NODE, 1);
  desired.mutable_spec()->mutable_run()->add_command("word");
  const RankStart start = launch_plan(desired, 0, {"/p", "/logs/script"}, {}, {}, "");
  ASSERT_EQ(start.command_size(), 2);
  EXPECT_EQ(start.command(0), "/logs/script");
  EXPECT_EQ(start.command(1), "word");
}

TEST(LaunchPlan, RefusesWhatCannotRun) {
  EXPECT_TRUE(check_desired(attempt(PER_RANK, 4)));
  DesiredAttempt desired = attempt(PER_RANK, 4);
  desired.set_node_rank(3);
  EXPECT_FALSE(check_desired(desired));
  desired = attempt(PER_RANK, 100'000);
  EXPECT_FALSE(check_desired(desired));
  desired = attempt(PER_RANK, 1);
  desired.mutable_spec()->mutable_run()->set_workdir("relative");
  EXPECT_FALSE(check_desired(desired));
  desired = attempt(PER_RANK, 1);
  (*desired.mutable_spec()->mutable_run()->mutable_environment())["A=B"] = "c";
  EXPECT_FALSE(check_desired(desired));
  desired = attempt(PER_RANK, 1);
  desired.mutable_spec()->mutable_run()->clear_command();
  EXPECT_FALSE(check_desired(desired));
}

}  // namespace
}  // namespace ff::ctl
