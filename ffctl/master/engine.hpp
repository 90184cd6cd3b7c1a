// Engine: everything that changes the state of a cluster: what people ask for, what nodes report, time, and plans of
// the scheduler. Does no I/O and asks no clock: the time is given with each call.
//
//   Engine engine(options, [&](Change change) { journal.append(std::move(change)); });
//   engine.begin(state, lease.epoch(), now_ms);
//   engine.report(report, now_ms);
//   engine.tick(now_ms);                                  // when engine.next_tick_ms() has come
//
// Changes    Every call that changes something stored ends with one or more changes to the journal, in memory first:
//            who tells others of it waits until the journal is durable up to its sequence.
// Nodes      orders() is all that a node should do; take_dirty_nodes() names those whose orders have changed. What an
//            attempt is made of is said until the node has told of it, and a node is given no more new ones at a time
//            than an order takes.
// Time       Unix milliseconds that never go back while an engine lives.
// Errors     of people's requests, with a sentence; nothing has changed then.
// Threads    One.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/job/phases.hpp"
#include "ffctl/master/state.hpp"

namespace ff::ctl {

struct EngineOptions {
  std::uint64_t failure_timeout_ms = 60'000;  // of silence, after which a node is lost
  std::uint64_t launch_timeout_ms = 60'000;
  std::uint64_t settle_ms = 5'000;  // from TERM to KILL where no grace was asked for
  std::uint64_t kill_timeout_ms = 10'000;
  std::uint64_t cleanup_timeout_ms = 30'000;
  std::size_t done_jobs_max = 20'000;
  std::uint64_t done_age_ms = 7ull * 24 * 3600 * 1000;
  std::size_t events_max = 50'000;

  // Of a node's lease: its ranks are told to leave; are killed. What is left until the node is lost is for the kill,
  // for clocks that run differently, and for answers that are on their way.
  std::uint64_t lease_ms() const noexcept { return failure_timeout_ms * 2 / 3; }
  std::uint64_t stop_ms() const noexcept { return failure_timeout_ms * 5 / 6; }
};

// Of a description, which agents are sent with each order.
inline constexpr std::size_t kStateBytesMax = 64u << 10;
// Of the attempts that one order tells a node of for the first time; a message has 4 MiB.
inline constexpr std::size_t kUntoldBytesMax = 3u << 20;

// Who asks. Administrators may do everything to everybody's.
struct Actor {
  std::string user;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool admin = false;
};

struct ControlOrder {
  ControlRequest::Verb verb = ControlRequest::VERB_NONE;
  Priority priority = PRIORITY_NONE;
  std::string reason;
  bool force = false;
  std::uint64_t grace_ms = 0;  // 0: the job's
};

// One job that is to start, as the scheduler decided.
struct Start {
  std::uint64_t job = 0;
  std::vector<std::string> nodes;
  std::vector<NodeShare> shares;  // by node rank; of whole nodes without CPUs
};

class Engine {
 public:
  Engine(EngineOptions options, std::function<void(Change)> journal)
      : options_(options), journal_(std::move(journal)) {}

  // Takes the place of whatever was before. Nodes are not lost before they had a failure timeout to report: ours, or
  // that of the leader before where it was longer.
  void begin(State state, std::uint64_t epoch, std::uint64_t now);

  const State& state() const noexcept { return state_; }
  const EngineOptions& options() const noexcept { return options_; }
  std::uint64_t sequence() const noexcept { return state_.header.sequence(); }
  // Null: not known (any more).
  const JobEntry* job(std::uint64_t id) const;

  // ---- people ----
  // Without `add`: only checks, and gives no ids.
  Result<std::vector<std::uint64_t>> submit(const SubmitRequest& request, const Actor& actor, std::uint64_t now);
  Result<> check_submit(const SubmitRequest& request, const Actor& actor) const;
  Result<> control(std::uint64_t job, const ControlOrder& order, const Actor& actor, std::uint64_t now);
  Result<> control_node(const std::string& node, const ControlNodeRequest& request, const Actor& actor,
                        std::uint64_t now);
  void node_checked(const std::string& node, int exit_code, const std::string& summary, std::uint64_t now);
  void node_checking(const std::string& node, bool checking);
  Result<> set_quota(const Quota& quota, bool remove, const Actor& actor, std::uint64_t now);
  std::vector<Quota> quotas() const;
  // Of how much each user may use where they compete; `remove`: 1 again, as of all others.
  Result<> set_share(const std::string& user, double weight, bool remove, const Actor& actor, std::uint64_t now);
  // May this actor see into and control the job?
  static Result<> check_owner(const JobEntry& entry, const Actor& actor);

  // ---- nodes ----
  Result<> report(const NodeReport& report, std::uint64_t now);
  ApplyRequest orders(const std::string& node, std::uint64_t now);
  std::set<std::string> take_dirty_nodes() { return std::exchange(dirty_nodes_, {}); }
  bool has_dirty_nodes() const noexcept { return !dirty_nodes_.empty(); }
  NodeInfo::State node_state(const NodeEntry& node) const;
  NodeInfo node_info(const NodeEntry& node) const;
  // Takes new attempts: reports, is not drained, has nothing left over.
  bool usable(const NodeEntry& node) const;

  // ---- time ----
  void tick(std::uint64_t now);
  std::uint64_t next_tick_ms() const noexcept { return timers_.empty() ? UINT64_MAX : timers_.begin()->first; }

  // ---- the scheduler ----
  // Something has changed that a plan may depend on.
  bool take_plan_needed() { return std::exchange(plan_needed_, false); }
  bool plan_needed() const noexcept { return plan_needed_; }
  // kInvalidArgument when the plan does not fit the state; nothing happens then.
  Result<> start(const Start& start, std::uint64_t now);
  Result<> preempt(std::uint64_t victim, std::uint64_t beneficiary, std::string reason, std::uint64_t now);
  // Jobs in the queue, by id.
  const std::set<std::uint64_t>& queued() const noexcept { return queued_; }
  // Jobs with an attempt that is not closed.
  const std::set<std::uint64_t>& live() const noexcept { return live_; }
  // Preemptions within the last day.
  static std::uint32_t preemptions_today(const JobEntry& entry, std::uint64_t now);

 private:
  enum class Look : std::uint8_t { kNothing, kPreparing, kRunning, kEnded, kClean, kFailed, kUnclean, kLost, kGone };

  JobEntry& entry(std::uint64_t job) { return state_.jobs.at(job); }
  NodeEntry* find_node(const std::string& name);

  // What is to be stored with the next change.
  void touch(JobEntry& entry) { touched_jobs_.insert(entry.job().id()); }
  std::uint64_t event(std::string kind, const JobEntry* entry, const std::string& node, const std::string& actor,
                      std::string text, std::uint64_t cause = 0);
  void flush();
  void trim();
  void index(JobEntry& entry);  // by its phase
  bool step(JobEntry& entry, JobHappening happening, std::string reason);
  void set_timer(JobEntry& entry, std::uint64_t when);
  void dirty(const JobEntry& entry);

  Result<> check_description(const JobSpec& spec) const;
  Result<> check_possible(const JobSpec& spec, const Actor& actor) const;
  Result<> hold_or_stop(JobEntry& entry, const ControlOrder& order, const Actor& actor);
  void evaluate(JobEntry& entry);
  void evaluate_waiting(JobEntry& entry);
  void wake_dependents(std::uint64_t job);

  void evaluate_attempt(JobEntry& entry);
  bool step_attempt(JobEntry& entry);
  bool step_launching(JobEntry& entry);
  bool step_started(JobEntry& entry);
  bool step_draining(JobEntry& entry);
  bool step_cleaning(JobEntry& entry);
  bool step_suspend(JobEntry& entry);
  void measure(JobEntry& entry);
  bool drain_if_broken(JobEntry& entry);
  void look_at_progress(JobEntry& entry, std::size_t rank, const AttemptReport& report);
  Look look(const JobEntry& entry, std::size_t rank) const;
  bool all_ended(const JobEntry& entry) const;
  RankSummary summary(const JobEntry& entry) const;
  const RankReport* first_failure(const JobEntry& entry) const;
  void drain(JobEntry& entry, EndCause cause, DesiredAttempt::Want want, std::uint64_t grace_ms,
             std::uint64_t max_grace_ms, std::string reason, const std::string& actor, std::uint64_t cause_event = 0);
  void suspend(JobEntry& entry, EndCause cause, std::uint64_t grace_ms, std::string reason, const std::string& actor,
               std::uint64_t cause_event = 0);
  void set_want(JobEntry& entry, DesiredAttempt::Want want, std::uint64_t grace_ms);
  void ranks_ended(JobEntry& entry);
  void close(JobEntry& entry);
  void finish(JobEntry& entry, JobResult result, int exit_code, JobHappening happening, std::string reason,
              const std::string& actor);
  Verdict verdict(const JobEntry& entry, EndCause cause) const;
  void drain_node(NodeEntry& node, std::string reason, const std::string& by);
  void lose_node(NodeEntry& node);
  // When it is lost, if it is not heard of.
  std::uint64_t lost_ms(const NodeEntry& node) const noexcept;
  // Nothing is known of what runs there: it has not been heard of for a while, and its lease may run.
  bool silent(const NodeEntry* node) const noexcept;
  void look_for_leftovers(NodeEntry& node, const NodeReport& report);
  // The node has the attempt with all that it was given: orders need not say it again.
  static bool has_all(const NodeEntry& node, const NodeSight& sight) noexcept {
    return sight.instance != 0 && sight.instance == node.instance;
  }
  // Of what a node is yet to be given with its orders.
  std::size_t untold_bytes(const NodeEntry& node, const std::string& name) const;

  EngineOptions options_;
  std::function<void(Change)> journal_;
  State state_;
  std::uint64_t epoch_ = 0;
  std::uint64_t now_ = 0;
  std::uint64_t began_ms_ = 0;          // deadlines of nodes' answers count from here at the earliest
  std::uint64_t first_timeout_ms_ = 0;  // the failure timeout of those that no leader before us has lost
  std::uint64_t order_sequence_ = 0;
  bool plan_needed_ = false;

  std::set<std::uint64_t> queued_, live_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> timers_;  // when, job (0: nodes and tidying)
  std::set<std::pair<std::uint64_t, std::uint64_t>> done_;    // when, job
  std::map<std::uint64_t, std::set<std::uint64_t>> dependents_;
  std::deque<std::uint64_t> woken_;  // jobs whose dependents are being looked at; else empty
  std::map<std::string, std::vector<std::uint64_t>> requests_;
  std::set<std::string> dirty_nodes_;

  std::uint64_t last_version_ = 0;
  std::set<std::uint64_t> touched_jobs_, touched_specs_, touched_blobs_;
  std::set<std::string> touched_nodes_;
  std::vector<Write> writes_;  // others
  std::vector<Event> new_events_;
};

}  // namespace ff::ctl
