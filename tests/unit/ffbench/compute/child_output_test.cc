#include "ffbench/compute/child_output.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace ff::bench {
namespace {

using std::chrono::seconds;

Result<ChildOutput> shell(const std::string& script, std::chrono::nanoseconds timeout = seconds(20),
                          const std::stop_token& stop = {}) {
  return run_child({"sh", "-c", script}, timeout, stop);
}

TEST(RunChild, GivesOutputAndExitCode) {
  const auto child = shell("echo good; echo bad >&2; exit 7");
  ASSERT_TRUE(child) << child.error().message();
  EXPECT_EQ(child->out, "good\n");
  EXPECT_EQ(child->errors, "bad\n");
  EXPECT_EQ(child->exit_code, 7);
}

TEST(RunChild, MuchOutputOnBothPipesDoesNotBlock) {
  const auto child = shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2");
  ASSERT_TRUE(child);
  EXPECT_EQ(child->out.size(), 3000000u);
  EXPECT_EQ(child->errors.size(), 4096u);
}

TEST(RunChild, AKilledChildIsTold) { EXPECT_EQ(shell("kill -9 $$")->exit_code, 128 + 9); }

TEST(RunChild, ADeadlineEndsTheChildAndItsChildren) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(shell("sleep 100 & sleep 100", std::chrono::milliseconds(200)).error().code(), Errc::kTimeout);
  EXPECT_EQ(shell("trap '' TERM; sleep 100 & wait; sleep 100", std::chrono::milliseconds(200)).error().code(),
            Errc::kTimeout)
      << "one that does not listen";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST(RunChild, AStopEndsTheChild) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(shell("sleep 100", seconds(50), stop.get_token()).error().code(), Errc::kCancelled);
}

TEST(RunChild, AGrandchildThatKeepsThePipesDoesNotHoldUsUp) {
  const auto begin = std::chrono::steady_clock::now();
  const auto child = shell("echo done; sleep 8 & exit 0");
  ASSERT_TRUE(child);
  EXPECT_EQ(child->out, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(7));
}

TEST(RunChild, AMissingProgramIsNamed) {
  const auto child = run_child({"ffbench-no-such-program"}, seconds(5), {});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code(), Errc::kNotFound);
}

}  // namespace
}  // namespace ff::bench
