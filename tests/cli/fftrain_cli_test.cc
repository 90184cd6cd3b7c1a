// The trainer as users run it: the real program under `hfreduce run -n 2`, a small model on a small text. It reports,
// stops on request with a checkpoint, goes on from there, and a killed rank ends the run.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/process.hpp"

namespace ff::testing {
namespace {

using nlohmann::json;
using std::chrono::seconds;

class FfTrain : public ::testing::Test {
 protected:
  FfTrain() {
    std::string text;
    for (int i = 0; i < 100; ++i) text += "the quick brown fox jumps over the lazy dog " + std::to_string(i) + "\n";
    text_ = folder_.write("text", text);
  }

  // Each rank leaves its process's number behind before it becomes the trainer.
  std::vector<std::string> command(const std::vector<std::string>& options) const {
    std::vector<std::string> argv = {std::getenv("HFREDUCE"),
                                     "run",
                                     "-n",
                                     "2",
                                     "--no-prefix",
                                     "--",
                                     "sh",
                                     "-c",
                                     "echo $$ > $0.$RANK; exec \"$@\"",
                                     folder_.path("pid"),
                                     std::getenv("FFTRAIN"),
                                     "--text",
                                     text_,
                                     "--layers",
                                     "1",
                                     "--heads",
                                     "1",
                                     "--dim",
                                     "8",
                                     "--ctx",
                                     "8",
                                     "--batch",
                                     "2",
                                     "--sample",
                                     "5",
                                     "--log-every",
                                     "1",
                                     "--json"};
    argv.insert(argv.end(), options.begin(), options.end());
    return argv;
  }

  pid_t pid_of(int rank) const { return std::atoi(folder_.read("pid." + std::to_string(rank)).c_str()); }

  std::vector<std::string> checkpoints() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path("ckpt")))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  TempFolder folder_;
  std::string text_;
};

std::vector<json> records(const std::string& out) {
  std::vector<json> all;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
  return all;
}

TEST_F(FfTrain, TwoRanksTrainToTheEnd) {
  const Outcome o = run(command({"--steps", "8"}));
  ASSERT_EQ(o.code, 0) << o.err;
  const auto all = records(o.out);
  ASSERT_EQ(all.size(), 9u) << o.out;
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(all[i].at("schema"), "ff.train.step/1");
  EXPECT_EQ(all.back().at("schema"), "ff.train.summary/1");
  EXPECT_GT(all.back().at("final_loss").get<double>(), 0);
}

TEST_F(FfTrain, StopsWithACheckpointAndGoesOn) {
  const std::vector<std::string> options = {
      "--steps", "100000", "--checkpoint", folder_.path("ckpt"), "--checkpoint-every", "0"};
  Process p(command(options));
  ASSERT_TRUE(p.wait_for_output("ff.train.step/1"));
  ::kill(p.pid(), SIGTERM);
  const Outcome stopped = p.wait(seconds(20));
  EXPECT_EQ(stopped.code, 3) << stopped.err;
  ASSERT_EQ(checkpoints().size(), 1u);
  const int step = std::atoi(checkpoints()[0].c_str() + std::string("step-").size());
  ASSERT_GT(step, 0);

  std::vector<std::string> again = options;
  again.push_back("--resume");
  Process resumed(command(again));
  ASSERT_TRUE(resumed.wait_for_output("ff.train.step/1"));
  ::kill(resumed.pid(), SIGTERM);
  const Outcome o = resumed.wait(seconds(20));
  EXPECT_EQ(o.code, 3) << o.err;
  EXPECT_EQ(records(o.out).front().at("step"), step + 1) << o.out.substr(0, 500);
  EXPECT_EQ(checkpoints().size(), 2u);
}

TEST_F(FfTrain, AKilledRankEndsTheRun) {
  Process p(command({"--steps", "100000"}));
  ASSERT_TRUE(p.wait_for_output("ff.train.step/1"));
  const pid_t first = pid_of(0), second = pid_of(1);
  ASSERT_GT(second, 0);
  ::kill(second, SIGKILL);
  const Outcome o = p.wait(seconds(20));
  EXPECT_GT(o.code, 0) << o.err;
  EXPECT_NE(o.err.find("rank 1"), std::string::npos) << o.err;
  EXPECT_TRUE(gone(first));
}

}  // namespace
}  // namespace ff::testing
