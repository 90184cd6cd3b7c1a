// Children that hang, talk too much, do not read or do not exist.
#include <gtest/gtest.h>

#include <chrono>

#include "ffctl/slurm/child.hpp"

namespace ff::ctl {
namespace {

const std::vector<std::string> kEnvironment = {"PATH=/usr/bin:/bin", "A=b"};

TEST(Child, GivesOutputErrorsAndCode) {
  const auto end =
      run_child({.words = {"sh", "-c", "cat; echo $A >&2; exit 7"}, .environment = kEnvironment, .input = "in"});
  ASSERT_TRUE(end) << end.error().message();
  EXPECT_EQ(end->output, "in");
  EXPECT_EQ(end->errors, "b\n");
  EXPECT_EQ(end->code, 7);
  EXPECT_EQ(run_child({.words = {"sh", "-c", "kill -9 $$"}, .environment = kEnvironment})->code, 137);
}

TEST(Child, IsKilledAtItsDeadline) {
  for (const char* script : {"sleep 1000", "exec >&- 2>&-; sleep 1000", "trap '' TERM; while :; do sleep 1; done"}) {
    const auto end = run_child({.words = {"sh", "-c", script},
                                .environment = kEnvironment,
                                .input = {},
                                .deadline = std::chrono::milliseconds(200)});
    ASSERT_FALSE(end) << script;
    EXPECT_EQ(end.error().code(), Errc::kTimeout);
  }
}

TEST(Child, ThatDoesNotReadDoesNotHurt) {
  const std::string much(4u << 20, 'x');
  EXPECT_EQ(run_child({.words = {"true"}, .environment = kEnvironment, .input = much})->code, 0);
  const auto end = run_child({.words = {"wc", "-c"}, .environment = kEnvironment, .input = much});
  ASSERT_TRUE(end);
  EXPECT_EQ(std::stoul(end->output), much.size());
}

TEST(Child, ThatTalksTooMuchIsCut) {
  const auto end = run_child({.words = {"head", "-c", "1000000", "/dev/zero"},
                              .environment = kEnvironment,
                              .input = {},
                              .deadline = std::chrono::seconds(30),
                              .output_max = 100'000});
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->cut);
  EXPECT_LE(end->output.size(), 100'000);
}

TEST(Child, ThatIsNotThereIsNotFound) {
  EXPECT_EQ(run_child({.words = {"no-such-program-here"}, .environment = kEnvironment}).error().code(),
            Errc::kNotFound);
}

}  // namespace
}  // namespace ff::ctl
