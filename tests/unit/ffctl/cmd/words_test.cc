// The words of the command line that name ranks; and how jobs end commands.
#include <gtest/gtest.h>

#include "ffctl/cmd/waiting.hpp"

namespace ff::ctl {
namespace {

TEST(RanksTest, ListsAndRanges) {
  EXPECT_EQ(*parse_ranks("0", 4), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(*parse_ranks("3,0-1,1", 4), (std::vector<std::uint32_t>{3, 0, 1}));
  EXPECT_EQ(parse_ranks("all", 4)->size(), 4u);
  for (const char* text : {"", "4", "0-4", "2-1", "1,", "-1", "x", "1-", "4294967296"})
    EXPECT_FALSE(parse_ranks(text, 4)) << text;
}

TEST(ExitCodeTest, TheFirstJobThatDidNotSucceedCounts) {
  Job good, bad, runs;
  good.set_phase(DONE);
  good.set_result(SUCCEEDED);
  bad.set_phase(DONE);
  bad.set_result(FAILED);
  bad.set_exit_code(7);
  runs.set_phase(RUNNING);
  EXPECT_EQ(exit_code_of(std::vector<Job>{good, runs}), 0);
  EXPECT_EQ(exit_code_of(std::vector<Job>{good, bad, good}), 7);
  // A job that failed without a code of its own is still no success.
  bad.set_exit_code(0);
  EXPECT_EQ(exit_code_of(std::vector<Job>{bad}), 1);
}

TEST(ExitCodeTest, OfWhatAMasterAnswers) {
  EXPECT_EQ(exit_code_of(Error(Errc::kNotFound, "")), kExitNotFound);
  EXPECT_EQ(exit_code_of(Error(Errc::kPermission, "")), kExitDenied);
  EXPECT_EQ(exit_code_of(Error(Errc::kUnavailable, "")), kExitNoMaster);
  EXPECT_EQ(exit_code_of(Error(Errc::kUnsupported, "")), kExitNeverSchedulable);
}

}  // namespace
}  // namespace ff::ctl
