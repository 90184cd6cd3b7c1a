// The phases of a job and of an attempt, and what a job comes to when an attempt of it is closed: tables and pure
// functions. Whoever changes a phase asks here; what is not in the tables does not happen.
//
// Job       A chain of attempts. DONE absorbs. From DEPENDS it enters the queue as soon as what it waits for is there,
//           also after an attempt: a back-off is a time to wait for.
// Attempt   One placement. CLOSED absorbs. Every other phase has a deadline (phase_deadline()), so that each attempt
//           ends whatever ranks, nodes and users do.
// Stop wins A job that was told to stop never starts again, whatever else was asked for before or after.
// Documentation  phases_markdown() is a section of ffctl/master/master.md; a test compares them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ffctl/proto/job.pb.h"

namespace ff::ctl {

enum class JobHappening : std::uint8_t {
  kReleased,         // from a hold
  kReady,            // all that it waits for is there
  kHeld,             // by a user
  kPlaced,           // it has an attempt
  kStarted,          // every rank of the attempt was spawned
  kYields,           // the attempt is told to end, or ends, and the job is to go on later
  kEnds,             // the attempt is told to end, or ends, for good
  kSuspended,        // by a user, while it has no attempt
  kResumed,          // by a user
  kStopped,          // by a user, while it has no attempt
  kRefused,          // what it waits for cannot happen any more
  kClosedDone,       // the attempt is closed, and nothing follows it
  kClosedAgain,      // the attempt is closed, and another follows
  kClosedSuspended,  // the attempt is closed, and another follows when somebody resumes the job
};
std::string_view happening_name(JobHappening happening) noexcept;

struct JobTransition {
  JobPhase from;
  JobHappening happening;
  JobPhase to;
};
std::span<const JobTransition> job_transitions() noexcept;
// None: that does not happen in this phase.
std::optional<JobPhase> next_phase(JobPhase phase, JobHappening happening) noexcept;

enum class AttemptHappening : std::uint8_t {
  kSpawned,         // all nodes report that every rank was spawned
  kDrain,           // somebody or something ends it: suspend, stop, a failed rank, a lost node, a deadline
  kEnded,           // no rank lives on any node, as far as nodes can be asked
  kKillExpired,     // ranks live on although they were killed
  kClean,           // all nodes have verified that nothing is left
  kCleanupExpired,  // some have not, in time
};
std::string_view happening_name(AttemptHappening happening) noexcept;

struct AttemptTransition {
  AttemptPhase from;
  AttemptHappening happening;
  AttemptPhase to;
  std::string_view effect;  // beside the phase
};
std::span<const AttemptTransition> attempt_transitions() noexcept;
std::optional<AttemptPhase> next_phase(AttemptPhase phase, AttemptHappening happening) noexcept;
// What ends the phase if nothing else does. Empty for CLOSED only.
std::string_view phase_deadline(AttemptPhase phase) noexcept;

// Has ranks, or may have.
bool has_attempt(JobPhase phase) noexcept;

// What is known when an attempt is closed.
struct Ending {
  EndCause cause = END_NONE;  // why it ended in the end; see ending_cause()
  bool stop_ordered = false;  // by a user, at any time
  int exit_code = 0;          // of the first rank that failed
  bool saved = false;         // it reported a checkpoint
  bool may_restart = true;    // of a preempted one: it is of mode CHECKPOINT, or has retries
  std::uint32_t failures = 0;
};

enum class After : std::uint8_t { kDone, kAgain, kSuspended };
struct Verdict {
  After after = After::kDone;
  JobResult result = RESULT_NONE;  // of kDone
  int exit_code = 0;               // of kDone, as `ffctl wait` gives it
  bool counts = false;             // as a failure against retry.max
  bool avoids = false;             // the next attempt should go to other nodes
};
Verdict verdict_of(const Ending& ending, const RetrySpec& retry) noexcept;
// How long the next attempt waits: doubles with each failure, up to ten minutes. `failures` from 1; 0: not at all.
std::uint64_t backoff_ms(const RetrySpec& retry, std::uint32_t failures) noexcept;

// What all ranks of an attempt came to.
struct RankSummary {
  bool all_zero = false;     // every rank returned 0
  bool any_requeue = false;  // some returned 75
  bool saved = false;        // some rank reported a checkpoint since the notice
  bool all_saved = false;    // and all did
  bool out_of_memory = false;
  int first_code = 0;  // of the first that did not return 0
};
// Why the attempt ended, given what it was told (`told`: the cause it was drained for, END_NONE when nobody told it)
// and what its ranks returned. A rank that returns 0 unasked has finished; asked to suspend, it has finished too unless
// it saved. One that dies of a signal while it is asked to leave was not able to do better; one that returns an error
// of its own has failed, asked or not.
EndCause ending_cause(EndCause told, const RankSummary& ranks) noexcept;

inline constexpr int kRequeueCode = 75;
inline constexpr int kStoppedCode = 20, kEvictedCode = 21, kLostCode = 22, kWatchdogCode = 23, kTimedOutCode = 24;

// The tables, for people.
std::string phases_markdown();

}  // namespace ff::ctl
