// The words of the command line that name jobs, ranks, phases and priorities; and how jobs end commands.
#include <gtest/gtest.h>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/cmd/waiting.hpp"

namespace ff::ctl {
namespace {

TEST(JobWordTest, NumbersRangesAndAttempts) {
  const auto one = parse_job_word("17");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->first, 17u);
  EXPECT_EQ(one->last, 17u);
  EXPECT_FALSE(one->several());
  const auto range = parse_job_word("17..20");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->last, 20u);
  EXPECT_TRUE(range->several());
  const auto attempt = parse_job_word("train@2");
  ASSERT_TRUE(attempt);
  EXPECT_EQ(attempt->name, "train");
  EXPECT_EQ(attempt->attempt, 2u);
  EXPECT_TRUE(parse_job_word("last")->newest);
}

TEST(JobWordTest, WordsForSeveral) {
  EXPECT_EQ(parse_job_word("user:ann")->user, "ann");
  EXPECT_EQ(parse_job_word("label:k=v")->label, "k=v");
  EXPECT_TRUE(parse_job_word("state:running")->several());
}

TEST(JobWordTest, RefusesWhatNamesNothing) {
  for (const char* text :
       {"", "0", "20..17", "1..100002", "99999999999999999999", "user:", "state:fast", "train@0", "@3", "train@x"}) {
    const auto word = parse_job_word(text);
    ASSERT_FALSE(word) << text;
    EXPECT_EQ(word.error().code(), Errc::kInvalidArgument) << text;
  }
}

TEST(RanksTest, ListsAndRanges) {
  EXPECT_EQ(*parse_ranks("0", 4), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(*parse_ranks("3,0-1,1", 4), (std::vector<std::uint32_t>{3, 0, 1}));
  EXPECT_EQ(parse_ranks("all", 4)->size(), 4u);
  for (const char* text : {"", "4", "0-4", "2-1", "1,", "-1", "x", "1-", "4294967296"})
    EXPECT_FALSE(parse_ranks(text, 4)) << text;
}

TEST(WordsTest, PrioritiesAndPhasesAreReadAsTheyAreShown) {
  for (const std::string& word : priority_words()) EXPECT_EQ(priority_text(*parse_priority(word)), word);
  for (const std::string& word : phase_words()) EXPECT_EQ(phase_text(*parse_phase(word)), word);
  EXPECT_EQ(*parse_priority("ABOVE_NORMAL"), ABOVE_NORMAL);
  const auto wrong = parse_priority("hihg");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("did you mean 'high'"), std::string::npos) << wrong.error().message();
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
