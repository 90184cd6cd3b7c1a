// An attempt from its placement to its end: one look after another at what nodes report and at the time, until nothing
// follows any more. Idempotent, so that repeated and late reports change nothing.
//
// The fence of a suspension: first the nodes tell the steps of their ranks (round, step 0); then a step is proposed
// that no rank should have reached by the time it hears of it; when all nodes hold it there, it is committed, stored,
// and all ranks leave at it. What has passed the step is answered with a later proposal. A job that publishes no steps,
// and one that cannot agree in time, is told to leave at once.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ffctl/job/words.hpp"
#include "ffctl/master/engine.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::ctl {

namespace {

constexpr std::uint64_t kFenceMostMs = 10'000;
constexpr std::uint64_t kDayMs = 24ull * 3600 * 1000;
constexpr int kAttemptsKept = 32;
constexpr int kKilledCode = 128 + 9;
constexpr std::uint64_t kFirstPort = 20'000, kPorts = 10'000;

}  // namespace

Result<> Engine::start(const Start& start, std::uint64_t now) {
  now_ = std::max(now_, now);
  const auto found = state_.jobs.find(start.job);
  if (found == state_.jobs.end() || found->second.job().phase() != QUEUED || start.nodes.empty() ||
      start.nodes.size() != start.shares.size())
    return fail(Errc::kInvalidArgument, fmt::format("job {}: is not in the queue", start.job));
  JobEntry& entry = found->second;
  for (const std::string& name : start.nodes) {
    const NodeEntry* const node = find_node(name);
    if (node == nullptr || !usable(*node))
      return fail(Errc::kInvalidArgument, fmt::format("job {}: node {} cannot be used", start.job, name));
    if (untold_bytes(*node, name) + entry.told_bytes() > kUntoldBytesMax)
      return fail(Errc::kInvalidArgument, fmt::format("job {}: node {} is being given others", start.job, name));
  }
  Job& job = entry.job();
  if (job.attempts_size() >= kAttemptsKept) job.mutable_attempts()->DeleteSubrange(0, 1);
  const std::uint32_t number = job.attempts().empty() ? 1 : job.attempts(job.attempts_size() - 1).number() + 1;
  std::uint64_t resume = 0;
  for (const Attempt& one : job.attempts()) resume = std::max(resume, one.saved_step());
  Attempt& attempt = *job.add_attempts();
  attempt.set_number(number);
  attempt.set_phase(LAUNCHING);
  attempt.set_created_ms(now_);
  for (const std::string& name : start.nodes) attempt.add_nodes(name);
  LiveAttempt& live = *entry.record.mutable_live();
  for (const NodeShare& share : start.shares) *live.add_shares() = share;
  live.set_want(DesiredAttempt::RUN);
  live.set_want_ms(now_);
  live.set_resume_step(resume);
  std::set<std::uint64_t> ports;
  for (const std::uint64_t other : find_node(start.nodes.front())->jobs)
    ports.insert(this->entry(other).record.live().port());
  std::uint64_t port = kFirstPort + (job.id() * 7 + number) % kPorts;
  while (ports.contains(port)) port = kFirstPort + (port - kFirstPort + 1) % kPorts;
  live.set_port(static_cast<std::uint32_t>(port));
  entry.sight = std::make_unique<Sight>();
  entry.sight->nodes.resize(start.nodes.size());
  entry.sight->round = epoch_ << 20;
  for (const std::string& name : start.nodes) find_node(name)->jobs.insert(job.id());
  step(entry, JobHappening::kPlaced, "its ranks are being started");
  event("placed", &entry, start.nodes.size() == 1 ? start.nodes.front() : "", "scheduler",
        fmt::format("attempt {} on {} node(s)", number, start.nodes.size()));
  dirty(entry);
  evaluate_attempt(entry);
  flush();
  return {};
}

Result<> Engine::preempt(std::uint64_t victim, std::uint64_t beneficiary, std::string reason, std::uint64_t now) {
  now_ = std::max(now_, now);
  const auto found = state_.jobs.find(victim);
  if (found == state_.jobs.end() || !found->second.live() || found->second.attempt().phase() > STARTED)
    return fail(Errc::kInvalidArgument, fmt::format("job {}: does not run", victim));
  JobEntry& entry = found->second;
  const JobEntry* const other = job(beneficiary);
  entry.attempt().set_preempted_for(beneficiary);
  entry.job().set_preemptions(entry.job().preemptions() + 1);
  auto& days = *entry.record.mutable_preempted_ms();
  while (!days.empty() && days[0] + kDayMs <= now_) days.erase(days.begin());
  days.Add(now_);
  const PreemptionSpec& spec = entry.spec.preemption();
  const std::uint64_t cause = other == nullptr ? 0 : other->last_event;
  if (spec.mode() == PreemptionSpec::KILL) {
    drain(entry, PREEMPTED, DesiredAttempt::KILL, 0, 0, std::move(reason), "scheduler", cause);
  } else {
    suspend(entry, PREEMPTED, spec.grace_ms(), std::move(reason), "scheduler", cause);
  }
  evaluate_attempt(entry);
  flush();
  return {};
}

// ---- what is seen of an attempt -------------------------------------------------------------------------------------

Engine::Look Engine::look(const JobEntry& entry, std::size_t rank) const {
  const NodeSight& sight = entry.sight->nodes[rank];
  const auto node = state_.nodes.find(entry.attempt().nodes(static_cast<int>(rank)));
  const bool lost = node == state_.nodes.end() || node->second.lost;
  if (lost && sight.report.state() < AttemptReport::ENDED) return Look::kLost;
  if (sight.gone) return Look::kGone;
  switch (sight.report.state()) {
    case AttemptReport::PREPARING: return Look::kPreparing;
    case AttemptReport::RUNNING:
    case AttemptReport::ENDING: return Look::kRunning;
    case AttemptReport::ENDED: return Look::kEnded;
    case AttemptReport::CLEAN: return Look::kClean;
    case AttemptReport::FAILED: return Look::kFailed;
    case AttemptReport::UNCLEAN: return Look::kUnclean;
    default: return Look::kNothing;
  }
}

bool Engine::all_ended(const JobEntry& entry) const {
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i)
    if (look(entry, i) < Look::kEnded) return false;
  return true;
}

const RankReport* Engine::first_failure(const JobEntry& entry) const {
  const RankReport* first = nullptr;
  for (const NodeSight& node : entry.sight->nodes)
    for (const RankReport& rank : node.report.ranks()) {
      if (rank.state() != RankReport::ENDED || rank.exit_code() == 0 || node.report.fenced()) continue;
      if (first == nullptr || rank.ended_ms() < first->ended_ms()) first = &rank;
    }
  return first;
}

RankSummary Engine::summary(const JobEntry& entry) const {
  RankSummary sum{.all_zero = true, .all_saved = true};
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i) {
    const AttemptReport& report = entry.sight->nodes[i].report;
    const Look at = look(entry, i);
    if (report.ranks().empty() || at >= Look::kLost) sum.all_zero = sum.all_saved = false;
    if (report.fenced()) sum.all_zero = false;
    for (const RankReport& rank : report.ranks()) {
      // Not by its checkpoints: also what is complete has made some.
      const bool saved = rank.state() == RankReport::SAVED || rank.left() || report.saved_ms() != 0;
      sum.saved |= saved;
      sum.all_saved &= saved;
      sum.out_of_memory |= rank.out_of_memory();
      if (rank.state() != RankReport::ENDED || rank.exit_code() != 0) sum.all_zero = false;
      if (rank.state() == RankReport::ENDED && rank.exit_code() == kRequeueCode) sum.any_requeue = true;
    }
  }
  if (const RankReport* const failed = first_failure(entry)) sum.first_code = failed->exit_code();
  // Nobody failed, yet not all have ended well: on a node that is lost, or by the end of its lease. As by a signal.
  if (sum.first_code == 0 && !sum.all_zero) sum.first_code = kKilledCode;
  // What was noted when the first one failed stands: others may have died of our own signals since.
  if (entry.attempt().exit_code() != 0) sum.first_code = entry.attempt().exit_code();
  return sum;
}

Verdict Engine::verdict(const JobEntry& entry, EndCause cause) const {
  const PreemptionSpec& preemption = entry.spec.preemption();
  const bool restart =
      preemption.mode() != PreemptionSpec::KILL || entry.attempt().preempted_for() == 0 || entry.spec.retry().max() > 0;
  return verdict_of({.cause = cause,
                     .stop_ordered = entry.record.stop_ordered(),
                     .exit_code = entry.attempt().exit_code(),
                     .saved = entry.attempt().saved_step() > entry.record.live().resume_step(),
                     .may_restart = restart,
                     .failures = entry.job().failures()},
                    entry.spec.retry());
}

// ---- being told to end ----------------------------------------------------------------------------------------------

void Engine::set_want(JobEntry& entry, DesiredAttempt::Want want, std::uint64_t grace_ms) {
  LiveAttempt& live = *entry.record.mutable_live();
  live.set_want(want);
  live.set_want_ms(now_);
  if (want != DesiredAttempt::SUSPEND) live.set_grace_ms(grace_ms);
  touch(entry);
  dirty(entry);
}

void Engine::drain(JobEntry& entry, EndCause cause, DesiredAttempt::Want want, std::uint64_t grace_ms,
                   std::uint64_t max_grace_ms, std::string reason, const std::string& actor,
                   std::uint64_t cause_event) {
  Attempt& attempt = entry.attempt();
  LiveAttempt& live = *entry.record.mutable_live();
  live.set_told(cause);
  live.set_grace_ms(grace_ms);
  live.set_max_grace_ms(std::max(grace_ms, max_grace_ms));
  live.set_saved_before(attempt.saved_step());
  attempt.set_reason(reason);
  attempt.set_drain_ms(now_);
  attempt.set_last_step(entry.sight->last_step);
  const auto next = next_phase(attempt.phase(), AttemptHappening::kDrain);
  FF_ASSERT(next.has_value());
  attempt.set_phase(*next);
  // Who asks to be queued again may still report the checkpoint that the verdict asks for.
  const bool goes_on = cause == ASKED_REQUEUE || verdict(entry, cause).after != After::kDone;
  step(entry, goes_on ? JobHappening::kYields : JobHappening::kEnds, reason);
  event(cause == PREEMPTED ? "preempted" : "ending", &entry, "", actor, std::move(reason), cause_event);
  set_want(entry, want, grace_ms);
}

void Engine::suspend(JobEntry& entry, EndCause cause, std::uint64_t grace_ms, std::string reason,
                     const std::string& actor, std::uint64_t cause_event) {
  const std::uint64_t most = std::max(grace_ms, entry.spec.preemption().max_grace_ms());
  entry.sight->step = 0;
  ++entry.sight->round;
  entry.sight->round_ms = now_;
  drain(entry, cause, DesiredAttempt::SUSPEND, grace_ms, most, std::move(reason), actor, cause_event);
}

// What ends an attempt without being asked for. True: it did.
bool Engine::drain_if_broken(JobEntry& entry) {
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i) {
    const std::string& node = entry.attempt().nodes(static_cast<int>(i));
    const Look at = look(entry, i);
    const std::string& trouble = entry.sight->nodes[i].report.trouble();
    const bool started = entry.attempt().phase() == STARTED;
    // An agent that was restarted asks its ranks first; one that has lost its folder begins anew.
    const bool begins_anew = at == Look::kPreparing && !entry.sight->nodes[i].report.found_again();
    std::string reason;
    EndCause cause = started ? NODE_LOST : LAUNCH_FAILED;
    const bool fenced = at != Look::kLost && entry.sight->nodes[i].report.fenced();
    if (fenced) {
      reason = fmt::format("node {} did not hear of a master, and has ended its ranks", node);
    } else if (at == Look::kLost) {
      cause = NODE_LOST;
      reason = fmt::format("node {} is lost", node);
    } else if (at == Look::kGone || (started && begins_anew)) {
      reason = fmt::format("node {} has lost its ranks", node);
    } else if (at == Look::kFailed || (at == Look::kUnclean && !started)) {
      reason = fmt::format("node {}: {}", node, trouble.empty() ? "could not start its ranks" : trouble);
    } else {
      continue;
    }
    // Nothing is wrong with one that has kept to its lease.
    if (!fenced && std::ranges::find(entry.record.avoid(), node) == entry.record.avoid().end())
      entry.record.add_avoid(node);
    drain(entry, cause, started ? DesiredAttempt::STOP : DesiredAttempt::KILL, options_.settle_ms, 0, std::move(reason),
          "master");
    return true;
  }
  if (const RankReport* const failed = first_failure(entry)) {
    entry.attempt().set_exit_code(failed->exit_code());
    entry.attempt().set_failed_rank(failed->rank());
    if (all_ended(entry)) return false;  // nothing is left to be ended
    const RankSummary sum = summary(entry);
    const EndCause cause = ending_cause(END_NONE, sum);
    std::string reason = cause == ASKED_REQUEUE ? fmt::format("rank {} asks to be queued again", failed->rank())
                         : cause == OUT_OF_MEMORY
                             ? fmt::format("rank {} ran out of memory", failed->rank())
                             : fmt::format("rank {} failed with exit code {}", failed->rank(), failed->exit_code());
    // The others may be saving as well.
    const std::uint64_t grace =
        cause == ASKED_REQUEUE ? std::max(options_.settle_ms, entry.spec.preemption().grace_ms()) : options_.settle_ms;
    drain(entry, cause, DesiredAttempt::STOP, grace, 0, std::move(reason), "master");
    return true;
  }
  return false;
}

// ---- the phases -----------------------------------------------------------------------------------------------------

void Engine::evaluate_attempt(JobEntry& entry) {
  while (entry.live() && step_attempt(entry)) {
  }
}

// True: something has changed, and another look may find more.
bool Engine::step_attempt(JobEntry& entry) {
  switch (entry.attempt().phase()) {
    case LAUNCHING: return step_launching(entry);
    case STARTED: return step_started(entry);
    case DRAINING: return step_draining(entry);
    case CLEANING: return step_cleaning(entry);
    default: return false;
  }
}

bool Engine::step_launching(JobEntry& entry) {
  if (drain_if_broken(entry)) return true;
  Attempt& attempt = entry.attempt();
  std::string missing;
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i)
    if (look(entry, i) < Look::kRunning) missing = attempt.nodes(static_cast<int>(i));
  if (missing.empty()) {
    attempt.set_phase(*next_phase(LAUNCHING, AttemptHappening::kSpawned));
    attempt.set_started_ms(now_);
    entry.sight->output_ms = entry.sight->step_ms = now_;
    if (entry.job().first_start_ms() == 0) entry.job().set_first_start_ms(now_);
    step(entry, JobHappening::kStarted, "");
    event("started", &entry, "", "master", fmt::format("attempt {} runs", attempt.number()));
    wake_dependents(entry.job().id());
    return true;
  }
  const std::uint64_t until = std::max(began_ms_, attempt.created_ms()) + options_.launch_timeout_ms;
  set_timer(entry, until);
  if (now_ < until) return false;
  if (std::ranges::find(entry.record.avoid(), missing) == entry.record.avoid().end()) entry.record.add_avoid(missing);
  drain(entry, LAUNCH_FAILED, DesiredAttempt::KILL, 0, 0,
        fmt::format("node {} did not start its ranks in time", missing), "master");
  return true;
}

bool Engine::step_started(JobEntry& entry) {
  if (all_ended(entry) && first_failure(entry) == nullptr && summary(entry).all_zero) {
    ranks_ended(entry);
    return true;
  }
  if (drain_if_broken(entry)) return true;
  if (all_ended(entry)) {
    ranks_ended(entry);
    return true;
  }
  const TimeSpec& time = entry.spec.time();
  const Sight& sight = *entry.sight;
  std::uint64_t next = UINT64_MAX;
  const auto due = [&](std::uint64_t limit, std::uint64_t since) {
    if (limit == 0) return false;
    next = std::min(next, since + limit);
    return now_ >= since + limit;
  };
  const std::uint64_t grace = std::max(options_.settle_ms, entry.spec.preemption().grace_ms());
  // The chain's running time: what earlier attempts had counts.
  const std::uint64_t ran = entry.record.run_ms();
  const std::uint64_t left =
      time.limit_ms() == 0 ? 0 : std::max<std::uint64_t>(1, time.limit_ms() - std::min(ran, time.limit_ms()));
  EndCause cause = END_NONE;
  std::string reason;
  if (due(left, entry.attempt().started_ms())) {
    cause = LIMIT_REACHED;
    reason = "its time limit is reached";
  } else if (due(time.no_output_ms(), std::max(sight.output_ms, entry.attempt().started_ms()))) {
    cause = WATCHDOG_FIRED;
    reason = fmt::format("no output for {} s", time.no_output_ms() / 1000);
  } else if (due(time.no_progress_ms(), std::max(sight.step_ms, entry.attempt().started_ms()))) {
    cause = WATCHDOG_FIRED;
    reason = fmt::format("no progress for {} s", time.no_progress_ms() / 1000);
  }
  if (cause != END_NONE) {
    drain(entry, cause, DesiredAttempt::STOP, cause == LIMIT_REACHED ? grace : options_.settle_ms, 0, std::move(reason),
          "master");
    return true;
  }
  set_timer(entry, next == UINT64_MAX ? 0 : next);
  return false;
}

bool Engine::step_suspend(JobEntry& entry) {
  LiveAttempt& live = *entry.record.mutable_live();
  Attempt& attempt = entry.attempt();
  Sight& sight = *entry.sight;
  bool saving = false, lost = false, all_answer = true, all_hold = true, passed = false;
  std::uint64_t step = 0;
  double rate = 0;
  for (std::size_t i = 0; i < sight.nodes.size(); ++i) {
    const Look at = look(entry, i);
    const AttemptReport& report = sight.nodes[i].report;
    lost |= at == Look::kLost || at == Look::kGone;
    if (at >= Look::kEnded) continue;
    for (const RankReport& rank : report.ranks())
      saving |= rank.state() == RankReport::SAVING || rank.state() == RankReport::SAVED;
    const bool answers = report.fence_round() == sight.round;
    all_answer &= answers;
    all_hold &= answers && report.fence_holds();
    passed |= answers && !report.fence_holds();
    step = std::max(step, report.step_max());
    rate = std::max(rate, report.steps_per_second());
  }
  // Without one of its nodes a checkpoint of all ranks cannot be made any more.
  const std::uint64_t until = attempt.drain_ms() + (saving ? live.max_grace_ms() : live.grace_ms());
  if (lost || now_ >= until) {
    if (!lost) event("grace_over", &entry, "", "master", "did not end within its grace");
    set_want(entry, DesiredAttempt::STOP, options_.settle_ms);
    return true;
  }
  set_timer(entry, until);
  if (live.fence_round() != 0) return false;
  const std::uint64_t fence_until = attempt.drain_ms() + std::min(live.grace_ms() / 2, kFenceMostMs);
  const auto commit = [&](std::uint64_t at) {
    live.set_fence_round(++sight.round);
    live.set_fence_step(at);
    touch(entry);
    dirty(entry);
    event("fence", &entry, "", "master",
          at == 0 ? std::string("ranks leave now") : fmt::format("all ranks leave at step {}", at));
    return true;
  };
  if (now_ >= fence_until) return commit(0);
  set_timer(entry, std::min(until, fence_until));
  if (sight.step == 0 ? !all_answer : (!all_hold && !passed)) return false;
  if (sight.step != 0 && all_hold) {
    // The round that was agreed, not a new one.
    --sight.round;
    return commit(sight.step);
  }
  if (step == 0) return commit(0);
  const double margin = std::min(std::max(2.0, std::ceil(2 * rate)), 1e9);
  sight.step = std::max(step, sight.step) + static_cast<std::uint64_t>(margin);
  ++sight.round;
  sight.round_ms = now_;
  dirty(entry);
  return false;
}

// By our own clock: when all nodes had told of it.
void Engine::measure(JobEntry& entry) {
  Attempt& attempt = entry.attempt();
  const std::uint64_t since = std::max<std::uint64_t>(1, now_ - attempt.drain_ms());
  const auto all = [&](auto has) {
    return std::ranges::all_of(entry.sight->nodes, [&](const NodeSight& n) { return has(n.report); });
  };
  if (attempt.notice_to_seen_ms() == 0 && all([](const AttemptReport& r) { return r.first_seen_ms() != 0; })) {
    attempt.set_notice_to_seen_ms(since);
    touch(entry);
  }
  if (attempt.notice_to_saved_ms() == 0 && all([](const AttemptReport& r) { return r.saved_ms() != 0; })) {
    attempt.set_notice_to_saved_ms(since);
    touch(entry);
  }
}

bool Engine::step_draining(JobEntry& entry) {
  if (entry.record.live().told() == PREEMPTED || entry.record.live().told() == SUSPEND_ORDER) measure(entry);
  if (all_ended(entry)) {
    ranks_ended(entry);
    return true;
  }
  if (entry.attempt().exit_code() == 0) {
    if (const RankReport* const failed = first_failure(entry)) {
      entry.attempt().set_exit_code(failed->exit_code());
      entry.attempt().set_failed_rank(failed->rank());
      touch(entry);
    }
  }
  const LiveAttempt& live = entry.record.live();
  if (live.want() == DesiredAttempt::SUSPEND) return step_suspend(entry);
  if (live.want() == DesiredAttempt::STOP) {
    const std::uint64_t until = live.want_ms() + live.grace_ms();
    set_timer(entry, until);
    if (now_ < until) return false;
    set_want(entry, DesiredAttempt::KILL, 0);
    return true;
  }
  const std::uint64_t until = std::max(began_ms_, live.want_ms()) + options_.kill_timeout_ms;
  set_timer(entry, until);
  if (now_ < until) return false;
  // Who is not heard of has perhaps not heard either: his ranks live until he is lost.
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i) {
    const NodeEntry* const node = find_node(entry.attempt().nodes(static_cast<int>(i)));
    if (look(entry, i) >= Look::kEnded || !silent(node)) continue;
    set_timer(entry, std::max(lost_ms(*node), now_ + 1));
    return false;
  }
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i) {
    if (look(entry, i) >= Look::kEnded) continue;
    if (NodeEntry* const node = find_node(entry.attempt().nodes(static_cast<int>(i))))
      drain_node(*node, fmt::format("ranks of job {} cannot be killed", entry.job().id()), "master");
  }
  ranks_ended(entry);
  return true;
}

// All ranks ended, or it is given up that they do.
void Engine::ranks_ended(JobEntry& entry) {
  Attempt& attempt = entry.attempt();
  LiveAttempt& live = *entry.record.mutable_live();
  if (const RankReport* const failed = first_failure(entry); failed != nullptr && attempt.exit_code() == 0) {
    attempt.set_exit_code(failed->exit_code());
    attempt.set_failed_rank(failed->rank());
  }
  const bool told = attempt.phase() == DRAINING;
  attempt.set_cause(entry.record.stop_ordered() ? EndCause::STOP_ORDER : ending_cause(live.told(), summary(entry)));
  attempt.set_phase(*next_phase(attempt.phase(),
                                told && !all_ended(entry) ? AttemptHappening::kKillExpired : AttemptHappening::kEnded));
  if (attempt.cause() == RANK_FAILED || attempt.cause() == OUT_OF_MEMORY || attempt.cause() == ASKED_REQUEUE) {
    attempt.set_reason(attempt.cause() == ASKED_REQUEUE
                           ? fmt::format("rank {} asks to be queued again", attempt.failed_rank())
                           : fmt::format("rank {} failed with exit code {}{}", attempt.failed_rank(),
                                         attempt.exit_code(),
                                         attempt.cause() == OUT_OF_MEMORY ? ", out of memory" : ""));
  } else if (attempt.cause() == EXITED) {
    attempt.set_reason("");
  }
  live.set_cleaning_ms(now_);
  const bool goes_on = attempt.cause() == ASKED_REQUEUE || verdict(entry, attempt.cause()).after != After::kDone;
  step(entry, goes_on ? JobHappening::kYields : JobHappening::kEnds, attempt.reason());
  set_want(entry, DesiredAttempt::KILL, 0);
}

bool Engine::step_cleaning(JobEntry& entry) {
  const std::uint64_t until = std::max(began_ms_, entry.record.live().cleaning_ms()) + options_.cleanup_timeout_ms;
  bool clean = true;
  std::uint64_t late = until;  // of those that are not heard of
  for (std::size_t i = 0; i < entry.sight->nodes.size(); ++i) {
    const Look at = look(entry, i);
    NodeEntry* const node = find_node(entry.attempt().nodes(static_cast<int>(i)));
    if (at == Look::kClean || at == Look::kFailed || at == Look::kGone || node == nullptr || node->lost) continue;
    if (at != Look::kUnclean && (now_ < until || silent(node))) {
      clean = false;
      late = std::max({late, lost_ms(*node), now_ + 1});
    } else {
      const std::string& trouble = entry.sight->nodes[i].report.trouble();
      drain_node(*node,
                 fmt::format("job {} was not cleaned up{}{}", entry.job().id(), trouble.empty() ? "" : ": ", trouble),
                 "master");
    }
  }
  set_timer(entry, now_ < until ? until : late);
  if (!clean) return false;
  close(entry);
  return true;
}

void Engine::close(JobEntry& entry) {
  Attempt& attempt = entry.attempt();
  Job& job = entry.job();
  attempt.set_phase(CLOSED);
  attempt.set_last_step(entry.sight->last_step);
  attempt.set_closed_ms(now_);
  const std::uint64_t began = attempt.started_ms() == 0 ? now_ : attempt.started_ms();
  entry.record.set_run_ms(entry.record.run_ms() + (now_ - began));
  job.set_service_ms(job.service_ms() +
                     (now_ - attempt.created_ms()) * static_cast<std::uint64_t>(attempt.nodes_size()));
  if (attempt.cause() == PREEMPTED || attempt.cause() == SUSPEND_ORDER) {
    attempt.set_notice_to_freed_ms(std::max<std::uint64_t>(1, now_ - attempt.drain_ms()));
    // And what it takes to come back.
    const std::uint64_t launch = attempt.started_ms() == 0 ? 0 : attempt.started_ms() - attempt.created_ms();
    entry.record.set_switch_ms(attempt.notice_to_freed_ms() + launch);
  }
  // What the verdict asks of the live part, before it goes.
  const Verdict end = verdict(entry, attempt.cause());
  const std::vector<std::string> nodes(attempt.nodes().begin(), attempt.nodes().end());
  for (const std::string& name : nodes) {
    if (NodeEntry* const node = find_node(name)) node->jobs.erase(job.id());
    dirty_nodes_.insert(name);
  }
  entry.record.clear_live();
  entry.sight.reset();
  set_timer(entry, 0);
  if (end.counts) job.set_failures(job.failures() + 1);
  event("closed", &entry, "", "master",
        fmt::format("attempt {}: {}{}{}", attempt.number(), word_of(attempt.cause()),
                    attempt.reason().empty() ? "" : ", ", attempt.reason()));
  const std::string reason = attempt.reason();
  if (end.after == After::kDone) {
    finish(entry, end.result, end.exit_code, JobHappening::kClosedDone, reason, "master");
  } else if (end.after == After::kSuspended) {
    const bool stepped = step(entry, JobHappening::kClosedSuspended, "waits until somebody resumes it");
    FF_ASSERT(stepped);
    event("suspended", &entry, "", "master", "its nodes are free");
  } else {
    entry.record.set_not_before_ms(end.counts ? now_ + backoff_ms(entry.spec.retry(), job.failures()) : 0);
    const bool stepped = step(entry, JobHappening::kClosedAgain, reason);
    FF_ASSERT(stepped);
    event("requeued", &entry, "", "master", reason);
    evaluate_waiting(entry);
  }
  plan_needed_ = true;
}

}  // namespace ff::ctl
