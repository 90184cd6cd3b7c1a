#include "ffctl/job/phases.hpp"

#include <algorithm>
#include <array>

namespace ff::ctl {

namespace {

using enum JobHappening;

constexpr std::array kJobTransitions = {
    JobTransition{HELD, kReleased, DEPENDS},
    JobTransition{HELD, kStopped, DONE},
    JobTransition{HELD, kRefused, DONE},
    JobTransition{DEPENDS, kReady, QUEUED},
    JobTransition{DEPENDS, kHeld, HELD},
    JobTransition{DEPENDS, JobHappening::kSuspended, SUSPENDED},
    JobTransition{DEPENDS, kStopped, DONE},
    JobTransition{DEPENDS, kRefused, DONE},
    JobTransition{QUEUED, kPlaced, STARTING},
    JobTransition{QUEUED, kHeld, HELD},
    JobTransition{QUEUED, JobHappening::kSuspended, SUSPENDED},
    JobTransition{QUEUED, kStopped, DONE},
    JobTransition{STARTING, kStarted, RUNNING},
    JobTransition{STARTING, kYields, SUSPENDING},
    JobTransition{STARTING, kEnds, STOPPING},
    JobTransition{RUNNING, kYields, SUSPENDING},
    JobTransition{RUNNING, kEnds, STOPPING},
    JobTransition{SUSPENDING, kEnds, STOPPING},
    JobTransition{SUSPENDING, kClosedDone, DONE},
    JobTransition{SUSPENDING, kClosedAgain, DEPENDS},
    JobTransition{SUSPENDING, kClosedSuspended, SUSPENDED},
    JobTransition{SUSPENDED, kResumed, DEPENDS},
    JobTransition{SUSPENDED, kStopped, DONE},
    JobTransition{STOPPING, kClosedDone, DONE},
};

constexpr std::array kAttemptTransitions = {
    AttemptTransition{LAUNCHING, AttemptHappening::kSpawned, STARTED, "the job runs"},
    AttemptTransition{LAUNCHING, AttemptHappening::kDrain, DRAINING, "nodes are told to end its ranks"},
    AttemptTransition{LAUNCHING, AttemptHappening::kEnded, CLEANING, "nodes are told to clean"},
    AttemptTransition{STARTED, AttemptHappening::kDrain, DRAINING, "nodes are told to end its ranks"},
    AttemptTransition{STARTED, AttemptHappening::kEnded, CLEANING, "nodes are told to clean"},
    AttemptTransition{DRAINING, AttemptHappening::kEnded, CLEANING, "nodes are told to clean"},
    AttemptTransition{DRAINING, AttemptHappening::kKillExpired, CLEANING, "the nodes with such ranks are drained"},
    AttemptTransition{CLEANING, AttemptHappening::kClean, CLOSED, "nodes are free; the job's verdict"},
    AttemptTransition{CLEANING, AttemptHappening::kCleanupExpired, CLOSED,
                      "the nodes that are not clean are drained; the job's verdict"},
};

bool retries(const RetrySpec& retry, RetryOn on) {
  return std::ranges::find(retry.on(), static_cast<int>(on)) != retry.on().end();
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

}  // namespace

std::string_view happening_name(JobHappening happening) noexcept {
  switch (happening) {
    case kReleased: return "released";
    case kReady: return "ready";
    case kHeld: return "held";
    case kPlaced: return "placed";
    case kStarted: return "started";
    case kYields: return "yields";
    case kEnds: return "ends";
    case JobHappening::kSuspended: return "suspended";
    case kResumed: return "resumed";
    case kStopped: return "stopped";
    case kRefused: return "refused";
    case kClosedDone: return "closed, done";
    case kClosedAgain: return "closed, again";
    case kClosedSuspended: return "closed, suspended";
  }
  return "?";
}

std::string_view happening_name(AttemptHappening happening) noexcept {
  switch (happening) {
    case AttemptHappening::kSpawned: return "spawned";
    case AttemptHappening::kDrain: return "drain";
    case AttemptHappening::kEnded: return "ended";
    case AttemptHappening::kKillExpired: return "kill expired";
    case AttemptHappening::kClean: return "clean";
    case AttemptHappening::kCleanupExpired: return "cleanup expired";
  }
  return "?";
}

std::span<const JobTransition> job_transitions() noexcept { return kJobTransitions; }
std::span<const AttemptTransition> attempt_transitions() noexcept { return kAttemptTransitions; }

std::optional<JobPhase> next_phase(JobPhase phase, JobHappening happening) noexcept {
  for (const JobTransition& t : kJobTransitions)
    if (t.from == phase && t.happening == happening) return t.to;
  return std::nullopt;
}

std::optional<AttemptPhase> next_phase(AttemptPhase phase, AttemptHappening happening) noexcept {
  for (const AttemptTransition& t : kAttemptTransitions)
    if (t.from == phase && t.happening == happening) return t.to;
  return std::nullopt;
}

std::string_view phase_deadline(AttemptPhase phase) noexcept {
  switch (phase) {
    case LAUNCHING: return "the launch timeout: drained as launch_failed";
    case STARTED: return "the job's time limit and watchdogs, and the silence of its nodes: drained";
    case DRAINING: return "its grace, then a kill, then the kill timeout: kill expired";
    case CLEANING: return "the cleanup timeout: cleanup expired";
    default: return {};
  }
}

bool has_attempt(JobPhase phase) noexcept {
  return phase == STARTING || phase == RUNNING || phase == SUSPENDING || phase == STOPPING;
}

Verdict verdict_of(const Ending& ending, const RetrySpec& retry) noexcept {
  if (ending.stop_ordered) return {.result = STOPPED, .exit_code = kStoppedCode};
  const auto again_or = [&](RetryOn on, JobResult result, int code, bool avoids) -> Verdict {
    if (retries(retry, on) && ending.failures < retry.max())
      return {.after = After::kAgain, .counts = true, .avoids = avoids};
    return {.result = result, .exit_code = code, .counts = true};
  };
  const int own_code = ending.exit_code == 0 ? 1 : ending.exit_code;
  switch (ending.cause) {
    case EXITED: return {.result = SUCCEEDED};
    case PREEMPTED:
      if (!ending.may_restart) return {.result = EVICTED, .exit_code = kEvictedCode};
      return {.after = After::kAgain};
    case SUSPEND_ORDER: return {.after = After::kSuspended};
    case STOP_ORDER: return {.result = STOPPED, .exit_code = kStoppedCode};
    case RANK_FAILED:
    case OUT_OF_MEMORY: return again_or(NONZERO_EXIT, FAILED, own_code, false);
    case NODE_LOST:
    case LAUNCH_FAILED: return again_or(NODE_FAIL, LOST, kLostCode, true);
    case WATCHDOG_FIRED: return again_or(ON_WATCHDOG, JobResult::WATCHDOG, kWatchdogCode, false);
    case LIMIT_REACHED: return {.result = TIMED_OUT, .exit_code = kTimedOutCode};
    case ASKED_REQUEUE:
      // One that saves gets on; one that only asks is bounded like one that fails.
      if (ending.saved && retries(retry, REQUEUE_EXIT)) return {.after = After::kAgain};
      return again_or(REQUEUE_EXIT, FAILED, own_code, false);
    default: return {.result = FAILED, .exit_code = own_code};
  }
}

std::uint64_t backoff_ms(const RetrySpec& retry, std::uint32_t failures) noexcept {
  constexpr std::uint64_t kMost = 600'000;
  if (failures == 0) return 0;
  std::uint64_t wait = std::min(retry.backoff_ms(), kMost);
  for (std::uint32_t i = 1; i < failures && wait < kMost; ++i) wait *= 2;
  return std::min(wait, std::max(kMost, retry.backoff_ms()));
}

EndCause ending_cause(EndCause told, const RankSummary& ranks) noexcept {
  const bool suspend = told == PREEMPTED || told == SUSPEND_ORDER;
  if (told != END_NONE && !suspend) return told;
  if (ranks.any_requeue) return suspend ? told : ASKED_REQUEUE;
  if (suspend && ranks.all_saved) return told;
  if (ranks.all_zero) return suspend && ranks.saved ? told : EXITED;
  if (suspend && ranks.first_code >= 128 && !ranks.out_of_memory) return told;
  return ranks.out_of_memory ? OUT_OF_MEMORY : RANK_FAILED;
}

std::string phases_markdown() {
  std::string out = "| a job in | when | goes to |\n|---|---|---|\n";
  for (const JobTransition& t : kJobTransitions)
    out += "| " + lower(JobPhase_Name(t.from)) + " | " + std::string(happening_name(t.happening)) + " | " +
           lower(JobPhase_Name(t.to)) + " |\n";
  out += "\n| an attempt in | when | goes to | and |\n|---|---|---|---|\n";
  for (const AttemptTransition& t : kAttemptTransitions)
    out += "| " + lower(AttemptPhase_Name(t.from)) + " | " + std::string(happening_name(t.happening)) + " | " +
           lower(AttemptPhase_Name(t.to)) + " | " + std::string(t.effect) + " |\n";
  out += "\n| an attempt in | ends by |\n|---|---|\n";
  for (const AttemptPhase phase : {LAUNCHING, STARTED, DRAINING, CLEANING})
    out += "| " + lower(AttemptPhase_Name(phase)) + " | " + std::string(phase_deadline(phase)) + " |\n";
  return out;
}

}  // namespace ff::ctl
