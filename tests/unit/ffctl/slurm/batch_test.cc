// A job's description as words and a script for sbatch. Scripts are run by a real bash, without Slurm, with the
// variables that Slurm would set.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "ffctl/slurm/batch.hpp"
#include "ffctl/slurm/child.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

JobSpec spec_of(std::vector<std::string> command) {
  JobSpec spec;
  spec.set_name("train");
  spec.set_queue("default");
  spec.set_priority(NORMAL);
  spec.mutable_resources()->set_nodes(1);
  spec.mutable_run()->set_launcher(PER_NODE);
  spec.mutable_run()->set_ranks_per_node(1);
  spec.mutable_run()->set_workdir("/");
  for (std::string& word : command) spec.mutable_run()->add_command(std::move(word));
  spec.mutable_preemption()->set_mode(PreemptionSpec::CHECKPOINT);
  spec.mutable_preemption()->set_grace_ms(60'000);
  spec.mutable_preemption()->set_max_grace_ms(300'000);
  spec.mutable_retry()->add_on(NODE_FAIL);
  return spec;
}

BatchPlan plan_of(const JobSpec& spec, const SlurmSettings& settings = {.bin = {}, .conf = {}, .logs = "/logs"},
                  const BatchFacts& facts = {}) {
  const auto checked = check_carried(spec);
  EXPECT_TRUE(checked) << (checked ? "" : checked.error().message());
  const auto plan = batch_plan(spec, settings, facts);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *plan : BatchPlan();
}

bool has(const BatchPlan& plan, const std::string& word) {
  return std::ranges::find(plan.words, word) != plan.words.end();
}

TEST(Batch, WordsSayWhatIsAskedFor) {
  JobSpec spec = spec_of({"true"});
  spec.set_priority(LOW);
  spec.set_queue("gpu");
  spec.mutable_resources()->set_nodes(2);
  spec.mutable_resources()->set_gpus_per_node(8);
  spec.mutable_resources()->set_cpus_per_node(5);
  spec.mutable_resources()->set_memory_bytes((5u << 20) + 1);
  spec.mutable_run()->set_launcher(PER_RANK);
  spec.mutable_run()->set_ranks_per_node(2);
  spec.mutable_time()->set_limit_ms(60'001);
  spec.mutable_time()->set_begin_ms(10'500);
  spec.mutable_placement()->add_require("ib");
  spec.mutable_placement()->add_require("zone1");
  spec.mutable_placement()->add_exclude("n7");
  spec.set_hold(true);
  for (const auto& [job, when] : {std::pair(3, Dependency::AFTER_OK), std::pair(4, Dependency::AFTER_START)}) {
    Dependency& one = *spec.add_depends();
    one.set_job(static_cast<std::uint64_t>(job));
    one.set_condition(when);
  }
  const BatchPlan plan =
      plan_of(spec, {.bin = {}, .conf = {}, .logs = "/logs"}, {.now_ms = 10'000, .script_file = {}, .after_any = 9});
  for (const char* word :
       {"--nodes=2", "--ntasks-per-node=2", "--gres=gpu:8", "--cpus-per-task=3", "--exclusive", "--mem=6M",
        "--nice=1000", "--partition=gpu", "--time=2", "--begin=now+1", "--constraint=ib&zone1", "--exclude=n7",
        "--hold", "--dependency=afterok:3,after:4,afterany:9", "--kill-on-invalid-dep=yes", "--requeue",
        "--job-name=train"})
    EXPECT_TRUE(has(plan, word)) << word;
}

TEST(Batch, PrioritiesMayBeQualitiesOfService) {
  SlurmSettings settings{.bin = {}, .conf = {}, .logs = "/logs", .partition = "main"};
  settings.qos = {{"high", "urgent"}};
  JobSpec spec = spec_of({"true"});
  spec.set_priority(HIGH);
  const BatchPlan plan = plan_of(spec, settings);
  EXPECT_TRUE(has(plan, "--qos=urgent"));
  EXPECT_TRUE(has(plan, "--partition=main"));
  EXPECT_TRUE(std::ranges::none_of(plan.words, [](const std::string& word) { return word.starts_with("--nice"); }));
}

TEST(Batch, WhatIsNotCarriedIsNamed) {
  const auto refused = [](auto change, const char* key) {
    JobSpec spec = spec_of({"true"});
    change(spec);
    const auto checked = check_carried(spec);
    ASSERT_FALSE(checked) << key;
    EXPECT_TRUE(checked.error().message().starts_with(key)) << checked.error().message();
  };
  refused([](JobSpec& s) { s.mutable_resources()->set_pids(5); }, "resources.pids");
  refused([](JobSpec& s) { s.mutable_time()->set_estimate_ms(5); }, "time.estimate");
  refused([](JobSpec& s) { s.mutable_time()->set_no_output_ms(5); }, "time.no_output");
  refused([](JobSpec& s) { s.mutable_time()->set_no_progress_ms(5); }, "time.no_progress");
  refused([](JobSpec& s) { s.mutable_preemption()->set_mode(PreemptionSpec::NEVER); }, "preemption.mode");
  refused([](JobSpec& s) { s.mutable_preemption()->set_grace_ms(5); }, "preemption.grace");
  refused([](JobSpec& s) { s.mutable_preemption()->set_min_run_ms(5); }, "preemption.min_run");
  refused([](JobSpec& s) { s.mutable_preemption()->set_budget(5); }, "preemption.budget");
  refused([](JobSpec& s) { s.mutable_retry()->add_on(NONZERO_EXIT); }, "retry.on");
  refused([](JobSpec& s) { s.mutable_placement()->add_only("a"), s.mutable_placement()->add_only("b"); },
          "placement.only");
  refused([](JobSpec& s) { s.mutable_placement()->add_exclude("a,b"); }, "placement");
  refused([](JobSpec& s) { s.set_name("a b"); }, "name");
  refused([](JobSpec& s) { s.set_queue("a --uid=0"); }, "queue");
  refused([](JobSpec& s) { s.mutable_run()->set_command(0, "a=b"); }, "run.command");
  refused([](JobSpec& s) { s.mutable_run()->add_command(std::string("a\0b", 3)); }, "run.command");
  refused([](JobSpec& s) { (*s.mutable_run()->mutable_environment())["a=b"] = ""; }, "run.environment");
  refused([](JobSpec& s) { s.mutable_run()->set_workdir("x"); }, "run.workdir");
}

// Runs the script of a job of one rank as slurmd would.
class ScriptTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("ff-batch-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_ / "lo gs'");
    settings_.logs = folder_ / "lo gs'";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  ChildEnd run(const JobSpec& spec, const std::string& more = "X=y") {
    const BatchPlan plan = plan_of(spec, settings_);
    // No line but the first may look like a comment to sbatch, and all is printable.
    EXPECT_EQ(plan.script.find("\n#"), std::string::npos);
    for (const char c : plan.script) EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\n');
    const std::string file = folder_ / "script";
    EXPECT_TRUE(write_file_atomic(file, plan.script));
    const auto end = run_child(
        {.words = {"bash", file},
         .environment = {"PATH=" + (folder_ / "bin").string() + ":/usr/bin:/bin", "SLURM_JOB_ID=17", "SLURM_PROCID=0",
                         "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_JOB_NODELIST=n3", more},
         .input = {}});
    EXPECT_TRUE(end) << (end ? "" : end.error().message());
    return end ? *end : ChildEnd();
  }
  std::string log(std::uint32_t attempt = 1) {
    const auto text = read_file(rank_log(settings_, 17, attempt, 0), 1 << 20);
    return text ? *text : "(none)";
  }

  std::filesystem::path folder_;
  SlurmSettings settings_;
};

TEST_F(ScriptTest, WordsReachTheProgramAsTheyAre) {
  const std::vector<std::string> words = {"a b", "'", "\n#SBATCH --uid=0", "\r\n", "$HOME", "`id`", "é\xff", "", "-n"};
  std::vector<std::string> command = {"printf", "%s|"};
  std::string expected;
  for (const std::string& word : words) {
    command.push_back(word);
    expected += word + "|";
  }
  EXPECT_EQ(run(spec_of(command)).code, 0);
  EXPECT_EQ(log(), expected);
}

TEST_F(ScriptTest, RanksHaveTheEnvironmentOfOwnAgents) {
  JobSpec spec = spec_of({"sh", "-c",
                          "echo $FF_JOB $FF_JOB_NAME $FF_ATTEMPT $FF_RANK/$FF_RANKS $FF_NODE_RANK/$FF_NODES "
                          "$FF_NODE_LIST $NODE_RANK/$NNODES $A. $FF_CHECKPOINT_DIR; exit 7"});
  (*spec.mutable_run()->mutable_environment())["A"] = "x  'y'";
  (*spec.mutable_run()->mutable_environment())["FF_RANK"] = "9";
  spec.set_checkpoint("/check point");
  EXPECT_EQ(run(spec, "SLURM_RESTART_COUNT=2").code, 7);
  EXPECT_EQ(log(3), "17 train 3 0/1 0/1 n3 0/1 x 'y'. /check point\n");
}

TEST_F(ScriptTest, APathOfTheJobIsTheProgramsAlone) {
  JobSpec spec = spec_of({"/usr/bin/printenv", "PATH"});
  (*spec.mutable_run()->mutable_environment())["PATH"] = "/nowhere";
  EXPECT_EQ(run(spec).code, 0);
  EXPECT_EQ(log(), "/nowhere\n");
}

TEST_F(ScriptTest, WhatCannotBeStartedSaysSo) {
  JobSpec spec = spec_of({"true"});
  spec.mutable_run()->set_workdir("/no such folder");
  EXPECT_EQ(run(spec).code, 125);
  EXPECT_NE(log().find("/no such folder"), std::string::npos);
  EXPECT_EQ(run(spec_of({"no-such-program"})).code, 127);
  // No command of bash's own.
  EXPECT_EQ(run(spec_of({"exit", "3"})).code, 127);
}

TEST_F(ScriptTest, ExitCode75AsksToBeStartedAgain) {
  std::filesystem::create_directories(folder_ / "bin");
  ASSERT_TRUE(write_file_atomic(folder_ / "bin" / "scontrol", "#!/bin/sh\necho \"asked: $*\"\n"));
  std::filesystem::permissions(folder_ / "bin" / "scontrol", std::filesystem::perms::all);
  JobSpec spec = spec_of({"sh", "-c", "exit 75"});
  spec.mutable_retry()->add_on(REQUEUE_EXIT);
  EXPECT_EQ(run(spec).code, 75);
  EXPECT_EQ(log(), "asked: requeue 17\n");
  spec.mutable_run()->set_command(2, "exit 3");
  EXPECT_EQ(run(spec).code, 3);
  spec.mutable_run()->clear_command();
  spec.mutable_run()->add_command("exit");
  EXPECT_EQ(run(spec).code, 127);
}

TEST(Batch, SeveralRanksAreStartedBySrun) {
  JobSpec spec = spec_of({"true"});
  spec.mutable_resources()->set_nodes(2);
  spec.mutable_run()->set_launcher(PER_RANK);
  spec.mutable_run()->set_ranks_per_node(3);
  const BatchPlan plan = plan_of(spec);
  EXPECT_NE(plan.script.find("--nodes=2 --ntasks=6 --ntasks-per-node=3"), std::string::npos);
  EXPECT_NE(plan.script.find("WORLD_SIZE=6"), std::string::npos);
  EXPECT_NE(plan.script.find("HFR_TOKEN"), std::string::npos);
}

}  // namespace
}  // namespace ff::ctl
