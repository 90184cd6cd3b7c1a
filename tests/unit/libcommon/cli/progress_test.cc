#include "libcommon/cli/progress.hpp"

#include <gtest/gtest.h>

namespace ff::cli {
namespace {

using namespace std::chrono_literals;

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  // 16 MiB in 16 s is 1.05 MB/s; the other 48 MiB take 48 s.
  EXPECT_EQ(progress_line({.label = "read", .done = 16 << 20, .total = 64 << 20, .elapsed = 16s, .bytes = true}),
            "read: 25% (16MiB of 64MiB), 1.05MB/s, 48s left");
}

TEST(ProgressLine, CountsWhereNoTotalIsKnown) {
  EXPECT_EQ(progress_line({.label = "steps", .done = 30, .elapsed = 10s}), "steps: 30, 3/s");
}

TEST(ProgressLine, HoldsAtBothEnds) {
  EXPECT_EQ(progress_line({.label = "x", .total = 10}), "x: 0% (0 of 10), 0/s");
  EXPECT_EQ(progress_line({.label = "x", .done = 10, .total = 10, .elapsed = 5s}), "x: 100% (10 of 10), 2/s");
  EXPECT_EQ(progress_line({.label = "x", .done = 12, .total = 10, .elapsed = 6s}), "x: 100% (10 of 10), 2/s");
}

TEST(Progress, IsSilentUnlessEnabled) {
  testing::internal::CaptureStderr();
  {
    Progress progress({.label = "x", .total = 10});
    progress.update(5);
    progress.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Progress, DrawsLinesWhereStandardErrorIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress({.label = "x", .total = 10, .enabled = true});
    progress.update(5);
    progress.update(6);  // too soon to draw again
    progress.update(10);
    progress.finish();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("x: 50% (5 of 10)")) << text;
  EXPECT_NE(text.find("\nx: 100% (10 of 10)"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace ff::cli
