// The tables of phases, by themselves and under random histories of a job and its attempts.
#include "ffctl/job/phases.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "libcommon/base/rng.hpp"

namespace ff::ctl {
namespace {

constexpr std::array kJobPhases = {HELD, DEPENDS, QUEUED, STARTING, RUNNING, SUSPENDING, SUSPENDED, STOPPING, DONE};
constexpr std::array kAttemptPhases = {LAUNCHING, STARTED, DRAINING, CLEANING, CLOSED};
constexpr int kJobHappenings = static_cast<int>(JobHappening::kClosedSuspended) + 1;
constexpr int kAttemptHappenings = static_cast<int>(AttemptHappening::kCleanupExpired) + 1;

RetrySpec retries(std::initializer_list<RetryOn> on, std::uint32_t max) {
  RetrySpec spec;
  for (const RetryOn one : on) spec.add_on(one);
  spec.set_max(max);
  spec.set_backoff_ms(1000);
  return spec;
}

TEST(Phases, EndsAbsorb) {
  for (int h = 0; h < kJobHappenings; ++h) EXPECT_FALSE(next_phase(DONE, static_cast<JobHappening>(h)));
  for (int h = 0; h < kAttemptHappenings; ++h) EXPECT_FALSE(next_phase(CLOSED, static_cast<AttemptHappening>(h)));
}

TEST(Phases, EveryPhaseOfAnAttemptThatIsNotClosedHasADeadline) {
  for (const AttemptPhase phase : kAttemptPhases) EXPECT_EQ(phase_deadline(phase).empty(), phase == CLOSED);
}

TEST(Phases, AnAttemptNeverGoesBack) {
  for (const AttemptTransition& t : attempt_transitions()) EXPECT_GT(t.to, t.from);
}

TEST(Phases, TablesNameEachTransitionOnce) {
  std::set<std::pair<int, int>> seen;
  for (const JobTransition& t : job_transitions())
    EXPECT_TRUE(seen.insert({t.from, static_cast<int>(t.happening)}).second) << JobPhase_Name(t.from);
  seen.clear();
  for (const AttemptTransition& t : attempt_transitions())
    EXPECT_TRUE(seen.insert({t.from, static_cast<int>(t.happening)}).second) << AttemptPhase_Name(t.from);
}

TEST(Phases, DoneCanBeReachedFromEverywhere) {
  for (const JobPhase start : kJobPhases) {
    std::set<int> reached = {start};
    for (bool grew = true; grew;) {
      grew = false;
      for (const JobTransition& t : job_transitions())
        if (reached.contains(t.from)) grew |= reached.insert(t.to).second;
    }
    EXPECT_TRUE(reached.contains(DONE)) << JobPhase_Name(start);
  }
}

TEST(Phases, AJobThatIsStoppingOnlyEnds) {
  for (const JobTransition& t : job_transitions()) {
    if (t.from != STOPPING) continue;
    EXPECT_EQ(t.to, DONE);
  }
}

// A job as the master drives it, with events in random order: what is refused changes nothing.
TEST(Phases, RandomHistoriesKeepOneAttemptAndTheirPromises) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Rng rng(seed);
    JobPhase job = rng.below(2) == 0 ? HELD : DEPENDS;
    std::vector<AttemptPhase> attempts;
    bool stop_ordered = false;
    const RetrySpec retry = retries({NODE_FAIL, NONZERO_EXIT, REQUEUE_EXIT}, static_cast<std::uint32_t>(rng.below(5)));
    std::uint32_t failures = 0;
    EndCause told = END_NONE;
    for (int step = 0; step < 400; ++step) {
      const JobPhase before = job;
      if (attempts.empty() || attempts.back() == CLOSED) {
        const auto h = static_cast<JobHappening>(rng.below(kJobHappenings));
        // The master fires these only with an attempt.
        if (h == JobHappening::kPlaced && job != QUEUED) continue;
        if (h >= JobHappening::kClosedDone) continue;
        if (const auto next = next_phase(job, h)) {
          job = *next;
          if (h == JobHappening::kPlaced) {
            attempts.push_back(LAUNCHING);
            told = END_NONE;
          }
        }
      } else {
        const auto h = static_cast<AttemptHappening>(rng.below(kAttemptHappenings));
        if (const auto next = next_phase(attempts.back(), h)) {
          attempts.back() = *next;
          if (h == AttemptHappening::kSpawned) job = *next_phase(job, JobHappening::kStarted);
          if (h == AttemptHappening::kDrain) {
            told = static_cast<EndCause>(1 + rng.below(11));
            if (told == STOP_ORDER) stop_ordered = true;
            const bool yields = told == PREEMPTED || told == SUSPEND_ORDER;
            if (const auto n = next_phase(job, yields ? JobHappening::kYields : JobHappening::kEnds)) job = *n;
          }
          if (h == AttemptHappening::kEnded || h == AttemptHappening::kKillExpired)
            if (const auto n = next_phase(job, rng.below(2) == 0 ? JobHappening::kYields : JobHappening::kEnds))
              job = *n;
          if (attempts.back() == CLOSED) {
            const EndCause cause =
                job == STOPPING ? EXITED : ending_cause(told, {.all_zero = rng.below(2) == 0, .first_code = 1});
            const Verdict verdict =
                verdict_of({.cause = cause, .stop_ordered = stop_ordered, .failures = failures}, retry);
            failures += verdict.counts ? 1 : 0;
            const auto end = verdict.after == After::kDone    ? JobHappening::kClosedDone
                             : verdict.after == After::kAgain ? JobHappening::kClosedAgain
                                                              : JobHappening::kClosedSuspended;
            const auto n = next_phase(job, end);
            ASSERT_TRUE(n) << JobPhase_Name(job) << " seed " << seed;
            job = *n;
          }
        }
        // A user stops it now and then.
        if (rng.below(20) == 0 && has_attempt(job)) {
          stop_ordered = true;
          if (const auto n = next_phase(job, JobHappening::kEnds)) job = *n;
        }
      }
      ASSERT_LE(failures, retry.max() + 1);
      EXPECT_EQ(has_attempt(job), !attempts.empty() && attempts.back() != CLOSED) << "seed " << seed;
      for (std::size_t i = 0; i + 1 < attempts.size(); ++i) ASSERT_EQ(attempts[i], CLOSED);
      if (before == DONE) ASSERT_EQ(job, DONE);
      if (stop_ordered) ASSERT_TRUE(has_attempt(job) || job == DONE) << JobPhase_Name(job) << " seed " << seed;
    }
  }
}

TEST(EndingCause, ACleanExitWithoutACheckpointHasFinished) {
  EXPECT_EQ(ending_cause(PREEMPTED, {.all_zero = true}), EXITED);
  EXPECT_EQ(ending_cause(PREEMPTED, {.all_zero = true, .saved = true}), PREEMPTED);
  EXPECT_EQ(ending_cause(SUSPEND_ORDER, {.all_zero = true, .all_saved = true}), SUSPEND_ORDER);
  EXPECT_EQ(ending_cause(END_NONE, {.all_zero = true, .saved = true, .all_saved = true}), EXITED);
}

TEST(EndingCause, Code75AsksToBeQueuedAgain) {
  EXPECT_EQ(ending_cause(END_NONE, {.any_requeue = true, .first_code = 75}), ASKED_REQUEUE);
  EXPECT_EQ(ending_cause(PREEMPTED, {.any_requeue = true, .first_code = 75}), PREEMPTED);
}

TEST(EndingCause, AnErrorDuringTheGraceIsAFailureAndASignalIsNot) {
  EXPECT_EQ(ending_cause(PREEMPTED, {.saved = true, .first_code = 1}), RANK_FAILED);
  EXPECT_EQ(ending_cause(PREEMPTED, {.saved = true, .all_saved = true, .first_code = 1}), PREEMPTED);
  EXPECT_EQ(ending_cause(PREEMPTED, {.first_code = 128 + 9}), PREEMPTED);
  EXPECT_EQ(ending_cause(PREEMPTED, {.out_of_memory = true, .first_code = 128 + 9}), OUT_OF_MEMORY);
  EXPECT_EQ(ending_cause(END_NONE, {.first_code = 128 + 11}), RANK_FAILED);
}

TEST(Verdict, StopWins) {
  const RetrySpec retry = retries({NODE_FAIL, NONZERO_EXIT, REQUEUE_EXIT, ON_WATCHDOG}, 100);
  for (int cause = END_NONE; cause <= ASKED_REQUEUE; ++cause) {
    const Verdict v = verdict_of({.cause = static_cast<EndCause>(cause), .stop_ordered = true}, retry);
    EXPECT_EQ(v.after, After::kDone);
    EXPECT_EQ(v.result, STOPPED);
    EXPECT_EQ(v.exit_code, 20);
  }
}

TEST(Verdict, RetriesAreBounded) {
  const RetrySpec retry = retries({NODE_FAIL}, 2);
  EXPECT_EQ(verdict_of({.cause = NODE_LOST, .failures = 1}, retry).after, After::kAgain);
  const Verdict last = verdict_of({.cause = NODE_LOST, .failures = 2}, retry);
  EXPECT_EQ(last.result, LOST);
  EXPECT_EQ(last.exit_code, 22);
  EXPECT_EQ(verdict_of({.cause = RANK_FAILED, .exit_code = 3}, retry).exit_code, 3);
  EXPECT_EQ(verdict_of({.cause = ASKED_REQUEUE, .exit_code = 75}, retry).result, FAILED);
}

TEST(Verdict, AKilledJobWithoutRetriesIsEvicted) {
  EXPECT_EQ(verdict_of({.cause = PREEMPTED, .may_restart = false}, RetrySpec()).exit_code, 21);
  EXPECT_EQ(verdict_of({.cause = PREEMPTED}, RetrySpec()).after, After::kAgain);
}

TEST(Backoff, DoublesUpToTenMinutes) {
  const RetrySpec retry = retries({}, 0);
  EXPECT_EQ(backoff_ms(retry, 0), 0u);
  EXPECT_EQ(backoff_ms(retry, 1), 1000u);
  EXPECT_EQ(backoff_ms(retry, 3), 4000u);
  EXPECT_EQ(backoff_ms(retry, 1000), 600'000u);
}

TEST(Phases, ThePageHasTheTables) {
  std::ifstream in(FF_MASTER_PAGE);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_NE(text.str().find(phases_markdown()), std::string::npos) << "the tables should read:\n" << phases_markdown();
}

}  // namespace
}  // namespace ff::ctl
