#include "ffctl/job/goodput.hpp"

#include <gtest/gtest.h>

#include <random>

namespace ff::ctl {
namespace {

Attempt attempt_of(std::uint64_t created, std::uint64_t started, std::uint64_t drain, std::uint64_t closed,
                   EndCause cause, std::uint64_t saved = 0, int nodes = 1) {
  Attempt out;
  out.set_number(1);
  for (int i = 0; i < nodes; ++i) out.add_nodes("n" + std::to_string(i));
  out.set_created_ms(created);
  out.set_started_ms(started);
  out.set_drain_ms(drain);
  out.set_closed_ms(closed);
  out.set_cause(cause);
  out.set_saved_ms(saved);
  return out;
}

TEST(Goodput, AllOfWhatEndedWellIsUseful) {
  const Spent s = spent(attempt_of(100, 150, 0, 1000, EXITED), 5000);
  EXPECT_EQ(s, (Spent{.starting_ms = 50, .useful_ms = 850, .lost_ms = 0, .leaving_ms = 0}));
}

TEST(Goodput, OfAPreemptedAttemptWhatWasSavedIs) {
  EXPECT_EQ(spent(attempt_of(100, 200, 1200, 1300, PREEMPTED, 900, 4), 5000),
            (Spent{.starting_ms = 400, .useful_ms = 2800, .lost_ms = 1200, .leaving_ms = 400}));
  // It saved when it was told to end: all of it.
  EXPECT_EQ(spent(attempt_of(100, 200, 1200, 1300, PREEMPTED, 1250), 5000),
            (Spent{.starting_ms = 100, .useful_ms = 1000, .lost_ms = 0, .leaving_ms = 100}));
  // It never said so.
  EXPECT_EQ(spent(attempt_of(100, 200, 1200, 1300, PREEMPTED), 5000).lost_ms, 1000U);
}

TEST(Goodput, WhatRunsCountsUntilItIsKnownBetter) {
  EXPECT_EQ(spent(attempt_of(100, 200, 0, 0, END_NONE), 700),
            (Spent{.starting_ms = 100, .useful_ms = 500, .lost_ms = 0, .leaving_ms = 0}));
  EXPECT_EQ(spent(attempt_of(100, 0, 0, 0, END_NONE), 700).starting_ms, 600U);
}

TEST(Goodput, WhatNeverStartedHasOnlyBeenStarting) {
  EXPECT_EQ(spent(attempt_of(100, 0, 0, 400, LAUNCH_FAILED), 700),
            (Spent{.starting_ms = 300, .useful_ms = 0, .lost_ms = 0, .leaving_ms = 0}));
  EXPECT_DOUBLE_EQ(goodput_percent({}), 100);
}

// Also after steps of the wall clock: nothing is negative, and nothing more than what lies between first and last.
TEST(Goodput, NeverMoreThanTheTimeThatThereWas) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto time = [&] { return random() % 4 == 0 ? 0 : random() % 1000; };
    const std::uint64_t now = time();
    const auto causes = EndCause_ARRAYSIZE;
    const Attempt a = attempt_of(time(), time(), time(), time(), static_cast<EndCause>(random() % causes), time());
    ASSERT_LE(spent(a, now).total_ms(), 1000U) << a.ShortDebugString() << " now " << now;
  }
}

TEST(Goodput, WaitsBeginWhereTheAttemptBeforeEnded) {
  Job job;
  job.set_submitted_ms(10);
  *job.add_attempts() = attempt_of(100, 150, 500, 600, PREEMPTED);
  *job.add_attempts() = attempt_of(900, 950, 0, 0, END_NONE);
  job.mutable_attempts(1)->set_number(2);
  EXPECT_EQ(waited_ms(job, 0), 90U);
  EXPECT_EQ(waited_ms(job, 1), 300U);
  job.mutable_attempts()->DeleteSubrange(0, 1);
  EXPECT_EQ(waited_ms(job, 0), 0U) << "the one before it has been forgotten";
}

}  // namespace
}  // namespace ff::ctl
