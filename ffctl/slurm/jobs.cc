#include "ffctl/slurm/jobs.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>

#include "ffctl/job/phases.hpp"
#include "ffctl/slurm/comment.hpp"
#include "ffctl/slurm/host_list.hpp"

namespace ff::ctl {
namespace {

// In the order of job_fields().
enum Field : std::uint8_t {
  kId,
  kState,
  kExit,
  kRestarts,
  kPriority,
  kDependency,
  kSubmit,
  kEligible,
  kStart,
  kEnd,
  kNodes,
  kNodeList,
  kReason,
  kUser,
  kUid,
  kGid,
  kPartition,
  kComment,
  kName,
  kFields,
};

template <class T>
std::optional<T> number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool absent(std::string_view text) {
  return text.empty() || text == "(null)" || text == "N/A" || text == "NONE" || text == "None" || text == "Unknown";
}

// "1792" (a wait status) of squeue, "7:0" (code, signal) of sacct: 0 to 255, or 128 + signal.
std::optional<int> exit_code(std::string_view text) {
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const auto code = number<int>(text.substr(0, colon)), signal = number<int>(text.substr(colon + 1));
    if (!code || !signal) return std::nullopt;
    return *signal != 0 ? 128 + (*signal & 127) : *code & 255;
  }
  const auto status = number<std::uint32_t>(text);
  if (!status) return std::nullopt;
  const int signal = static_cast<int>(*status & 127);
  return signal != 0 ? 128 + signal : static_cast<int>(*status >> 8 & 255);
}

struct Facts {
  std::string state, reason;  // Slurm's words
  int exit_code = 0;
  std::uint32_t restarts = 0;
  bool held = false, waits = false;
  std::uint64_t start_ms = 0, end_ms = 0;
  std::vector<std::string> nodes;
};

struct Outcome {
  JobResult result;
  int exit_code;
  EndCause cause;
};

std::optional<Outcome> outcome_of(const Facts& facts) {
  const std::string_view state = std::string_view(facts.state).substr(0, facts.state.find(' '));
  if (state == "COMPLETED") return Outcome{SUCCEEDED, 0, EXITED};
  if (state == "FAILED") return Outcome{FAILED, facts.exit_code != 0 ? facts.exit_code : 1, RANK_FAILED};
  if (state == "OUT_OF_MEMORY") return Outcome{FAILED, facts.exit_code != 0 ? facts.exit_code : 137, OUT_OF_MEMORY};
  if (state == "CANCELLED" && facts.reason == "DependencyNeverSatisfied") return Outcome{REFUSED, 1, END_NONE};
  if (state == "CANCELLED") return Outcome{STOPPED, kStoppedCode, STOP_ORDER};
  if (state == "TIMEOUT" || state == "DEADLINE") return Outcome{TIMED_OUT, kTimedOutCode, LIMIT_REACHED};
  if (state == "NODE_FAIL" || state == "BOOT_FAIL" || state == "REVOKED") return Outcome{LOST, kLostCode, NODE_LOST};
  if (state == "PREEMPTED") return Outcome{EVICTED, kEvictedCode, PREEMPTED};
  return std::nullopt;
}

JobPhase phase_of(const Facts& facts) {
  const std::string_view state = facts.state;
  if (state == "PENDING" || state == "REQUEUED" || state == "REQUEUE_HOLD" || state == "REQUEUE_FED" ||
      state == "SPECIAL_EXIT" || state == "RESV_DEL_HOLD") {
    if (facts.held) return facts.restarts > 0 ? SUSPENDED : HELD;
    return facts.waits ? DEPENDS : QUEUED;
  }
  if (state == "CONFIGURING" || state == "POWER_UP_NODE") return STARTING;
  if (state == "SUSPENDED" || state == "STOPPED") return SUSPENDED;
  if (state == "COMPLETING" || state == "STAGE_OUT" || state == "SIGNALING") return STOPPING;
  return RUNNING;
}

std::string reason_of(const Facts& facts, const std::optional<Outcome>& outcome) {
  if (outcome && outcome->result == FAILED) return fmt::format("failed with exit code {}", outcome->exit_code);
  // Of others that are done, Slurm may keep why they had waited.
  if (absent(facts.reason) || (outcome && (outcome->result == SUCCEEDED || outcome->result == STOPPED))) return "";
  return "slurm: " + facts.reason;
}

void add_attempts(Job& job, const Facts& facts, const std::optional<Outcome>& outcome) {
  // Those before this one: as many as it was started again, of which one may have been no start at all.
  for (std::uint32_t i = 1; i <= std::min(facts.restarts, 10'000u); ++i) {
    Attempt& attempt = *job.add_attempts();
    attempt.set_number(i);
    attempt.set_phase(CLOSED);
    attempt.set_cause(SUSPEND_ORDER);
    attempt.set_reason("slurm requeued it");
  }
  const bool started = facts.start_ms != 0 && !facts.nodes.empty();
  if (!started) return;
  Attempt& attempt = *job.add_attempts();
  attempt.set_number(facts.restarts + 1);
  attempt.set_created_ms(facts.start_ms);
  attempt.set_started_ms(facts.start_ms);
  for (const std::string& node : facts.nodes) attempt.add_nodes(node);
  attempt.set_phase(job.phase() == STARTING ? LAUNCHING : job.phase() == STOPPING ? DRAINING : STARTED);
  if (!outcome) return;
  attempt.set_phase(CLOSED);
  attempt.set_closed_ms(facts.end_ms);
  attempt.set_cause(outcome->cause);
  attempt.set_exit_code(facts.exit_code);
}

void settle(Job& job, const Facts& facts) {
  const auto outcome = outcome_of(facts);
  job.set_phase(outcome ? DONE : phase_of(facts));
  if (outcome) {
    job.set_result(outcome->result);
    job.set_exit_code(outcome->exit_code);
    job.set_done_ms(facts.end_ms);
  }
  job.set_reason(reason_of(facts, outcome));
  add_attempts(job, facts, outcome);
  if (facts.start_ms == 0 || facts.nodes.empty()) return;
  job.set_first_start_ms(facts.start_ms);
  job.set_phase_since_ms(outcome ? facts.end_ms : facts.start_ms);
}

void describe(Job& job, const std::string& comment, const std::string& name, const std::string& partition) {
  JobSpec& spec = *job.mutable_spec();
  if (auto kept = decode_comment(comment)) {
    spec = std::move(*kept);
  } else {
    spec.set_priority(NORMAL);
    spec.mutable_run()->set_launcher(PER_NODE);
    spec.mutable_run()->set_ranks_per_node(1);
    spec.mutable_preemption()->set_mode(PreemptionSpec::CHECKPOINT);
  }
  spec.set_name(name);
  spec.set_queue(partition);
}

Error strange(const Row& row, const char* what) {
  return {Errc::kCorrupt, fmt::format("job '{}': its {} cannot be read", row[kId].substr(0, 40), what)};
}

Result<Job> job_of(const Row& row, std::uint64_t now_ms) {
  Job job;
  const auto id = number<std::uint64_t>(row[kId]);
  if (!id || *id == 0) return fail(strange(row, "number"));
  job.set_id(*id);
  Facts facts{.state = row[kState], .reason = row[kReason]};
  const auto code = exit_code(row[kExit]);
  const auto restarts = number<std::uint32_t>(row[kRestarts]), nodes = number<std::uint32_t>(row[kNodes]);
  const auto uid = number<std::uint32_t>(row[kUid]), gid = number<std::uint32_t>(row[kGid]);
  if (!code) return fail(strange(row, "exit code"));
  if (!restarts || !nodes || !uid || !gid) return fail(strange(row, "numbers"));
  facts.exit_code = *code;
  facts.restarts = *restarts;
  facts.held = row[kPriority] == "0";
  const std::uint64_t eligible = slurm_time_ms(row[kEligible]);
  facts.waits = !absent(row[kDependency]) || eligible > now_ms;
  facts.start_ms = slurm_time_ms(row[kStart]);
  facts.end_ms = slurm_time_ms(row[kEnd]);
  if (!absent(row[kNodeList])) {
    FF_TRY_ASSIGN(facts.nodes, expand_hosts(row[kNodeList]));
  }
  job.set_user(row[kUser]);
  job.set_uid(*uid);
  job.set_gid(*gid);
  job.set_submitted_ms(slurm_time_ms(row[kSubmit]));
  describe(job, row[kComment], row[kName], row[kPartition]);
  job.mutable_spec()->mutable_resources()->set_nodes(*nodes);
  settle(job, facts);
  return job;
}

}  // namespace

const std::vector<std::string>& job_fields() {
  static const std::vector<std::string> fields = {
      "JobID",        "State",     "exit_code", "RestartCnt", "PriorityLong", "Dependency", "SubmitTime",
      "EligibleTime", "StartTime", "EndTime",   "NumNodes",   "NodeList",     "Reason",     "UserName",
      "UserID",       "GroupID",   "Partition", "Comment",    "Name"};
  static_assert(kFields == 19);
  return fields;
}

const std::vector<std::string>& ended_job_fields() {
  static const std::vector<std::string> fields = {"JobIDRaw", "State",     "ExitCode", "Submit",  "Start",
                                                  "End",      "NNodes",    "NodeList", "User",    "UID",
                                                  "GID",      "Partition", "Reason",   "Comment", "JobName"};
  return fields;
}

Result<std::vector<Job>> read_jobs(std::string_view text, const std::string& separator, std::uint64_t now_ms) {
  FF_TRY_ASSIGN(const std::vector<Row> rows, read_rows(text, separator, kFields));
  std::vector<Job> jobs;
  for (const Row& row : rows) {
    FF_TRY_ASSIGN(Job job, job_of(row, now_ms));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

Result<std::vector<Job>> read_ended_jobs(std::string_view text, const std::string& separator) {
  FF_TRY_ASSIGN(const std::vector<Row> rows, read_rows(text, separator, ended_job_fields().size()));
  std::vector<Job> jobs;
  for (const Row& r : rows) {
    // "None assigned" where it never had any.
    const std::string nodes = r[7].starts_with("None") ? "" : r[7];
    FF_TRY_ASSIGN(Job job, job_of({r[0], r[1], r[2], "0", "1", "", r[3], "", r[4], r[5], r[6], nodes, r[12], r[8], r[9],
                                   r[10], r[11], r[13], r[14]},
                                  0));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

std::uint64_t slurm_time_ms(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* const end = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return 0;
  const std::time_t seconds = ::timegm(&parts);
  return seconds < 0 ? 0 : static_cast<std::uint64_t>(seconds) * 1000;
}

bool matches(const Job& job, const JobFilter& filter) {
  const JobSpec& spec = job.spec();
  const auto among = [](const auto& list, const auto& value) {
    return list.empty() || std::ranges::find(list, value) != list.end();
  };
  const auto labelled = [&](const std::string& label) {
    const std::size_t equals = label.find('=');
    const auto found = spec.labels().find(label.substr(0, equals));
    return found != spec.labels().end() &&
           (equals == std::string::npos || found->second == std::string_view(label).substr(equals + 1));
  };
  const bool asked = filter.done() || !filter.ids().empty() || !filter.names().empty() || !filter.phases().empty();
  return (asked || job.phase() != DONE) && among(filter.ids(), job.id()) && among(filter.names(), spec.name()) &&
         among(filter.users(), job.user()) && among(filter.phases(), static_cast<int>(job.phase())) &&
         (filter.queue().empty() || filter.queue() == spec.queue()) && job.submitted_ms() >= filter.since_ms() &&
         std::ranges::all_of(filter.labels(), labelled);
}

}  // namespace ff::ctl
