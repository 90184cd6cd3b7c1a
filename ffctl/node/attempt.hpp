// Attempt: one attempt on this node, from its record on disk to the proof that nothing of it is left.
//
//   PREPARING -> RUNNING -> ENDING -> ENDED -> CLEAN
//        |                              |-> UNCLEAN (tried again every second) -> CLEAN
//        `-> FAILED (nothing was started, or what was is gone)
//
// Level     tick() compares what is wanted with what is and does the next thing; calling it more often changes nothing.
// Kill      STOP: SIGTERM to the ranks' own processes, SIGKILL to everything after the grace period. SUSPEND: the order
// in
//           the page, SIGUSR1 to ranks that never called ff_init, then as STOP when the grace period has passed, or the
//           longer one while a rank saves. KILL: at once. A rank that fails ends the others of the node as STOP does.
// Fence     When the lease of one rank has run out (lease.hpp) all of the node are told to save and leave.
// Clocks    Deadlines by the monotonic clock.
// Ownership Shared with the tasks it has started. A destroyed Attempt leaves its ranks running: that is how an agent
//           restarts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffctl/ffjob/agent_page.hpp"
#include "ffctl/node/launch_plan.hpp"
#include "ffctl/node/rank_link.hpp"
#include "ffctl/node/record.pb.h"
#include "ffctl/rank/cgroup.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::ctl {

// What attempts need of their agent; outlives them.
struct AttemptHost {
  runtime::RealEnv& env;
  std::string folder;  // of the agent: attempts/, pages/, logs/
  std::string ffrank;  // the process beside each rank
  std::optional<Cgroups> cgroups;
  std::map<std::string, std::string> inherited;  // environment
  std::uint64_t log_bytes = 0;                   // kept of a rank's output
  RankLease lease;                               // as last granted
  std::function<std::string(std::uint64_t job, std::uint32_t attempt)> token;
  std::function<void(runtime::Task<void>)> spawn;
  std::function<void()> changed;

  std::string attempt_folder(const std::string& name) const { return folder + "/attempts/" + name; }
  std::string page_folder(const std::string& name) const { return folder + "/pages/" + name; }
  std::string log_folder(const std::string& name) const { return folder + "/logs/" + name; }
};

class NodeAttempt : public std::enable_shared_from_this<NodeAttempt> {
 public:
  using State = AttemptReport::State;

  // One that is to run; start() begins.
  NodeAttempt(AttemptHost& host, DesiredAttempt desired);
  // One that was launched by an agent before: adopt() finds its ranks.
  NodeAttempt(AttemptHost& host, AttemptRecord record);
  // One of which nothing was ever here, or is any more.
  static std::shared_ptr<NodeAttempt> absent(AttemptHost& host, const DesiredAttempt& desired, std::string why_not);

  void start();
  bool begun() const noexcept { return begun_; }
  // It was told to end before start(): nothing of it is here.
  void never_began() noexcept;
  void adopt();
  // host.lease is a new one.
  void new_lease();
  // What the master says now; `now` is when it said so.
  void want(const DesiredAttempt& desired, runtime::Time now);
  // The master knows nothing of it: kill and clean.
  void unwanted() noexcept { unwanted_ = true; }
  void tick(runtime::Time now);

  State state() const noexcept { return state_; }
  bool done() const noexcept { return state_ == AttemptReport::CLEAN || state_ == AttemptReport::FAILED; }
  // Done, and the master does not ask for it any more.
  bool forgettable() const noexcept { return unwanted_ && done(); }
  bool wanted() const noexcept { return !unwanted_ && desired_.want() == DesiredAttempt::RUN; }
  bool suspending() const noexcept { return desired_.want() == DesiredAttempt::SUSPEND && !done(); }
  const DesiredAttempt& desired() const noexcept { return desired_; }
  const std::string& name() const noexcept { return name_; }
  // Of what report() has as the program's state.
  std::uint64_t state_generation() const noexcept { return state_generation_; }
  AttemptReport report() const;
  // Has no more to say: its rank has ended and its log is whole.
  bool log_complete(std::uint32_t rank) const;
  // Living processes; empty where the rank's is gone.
  std::vector<std::pair<std::uint32_t, pid_t>> rank_processes() const;
  std::uint32_t send_signal(int signo, const std::vector<std::uint32_t>& ranks);
  // Takes its files away, but for its log. REQUIRES: done().
  void forget();

 private:
  struct Rank {
    std::unique_ptr<RankLink> link;
    runtime::Time since{};
    bool term_sent = false, usr1_sent = false;
    SlotView view;
  };

  runtime::Task<void> launch(std::shared_ptr<NodeAttempt> self);
  static runtime::Task<void> follow(std::shared_ptr<NodeAttempt> self, std::size_t rank);
  static runtime::Task<void> verify(std::shared_ptr<NodeAttempt> self);
  Result<> prepare();
  Result<std::string> write_script();
  Result<> launch_ranks();
  std::string kill_leftovers(bool search) const;
  void follow_ranks();
  void make_links();

  void look(runtime::Time now);
  void look_at_page(runtime::Time now);
  void drive(runtime::Time now);
  void drive_suspend(runtime::Time now);
  void drive_stop(runtime::Time now, runtime::Time kill_at);
  void kill_ranks(runtime::Time now);
  void drive_cleaning(runtime::Time now);
  void drive_fenced(runtime::Time now);
  void tell_those_without_the_library(runtime::Time now);
  void set_order(const Order& order);
  void failed(const std::string& why);
  std::uint64_t wall_ms() const;

  AttemptHost& host_;
  DesiredAttempt desired_;
  const std::string name_;
  State state_ = AttemptReport::PREPARING;
  std::string trouble_;
  std::string start_failure_;  // some rank could not be started
  std::string cgroup_;
  RankLease launch_lease_;  // the host's, for the thread that launches
  std::optional<AgentPage> page_;
  std::vector<Rank> ranks_;
  bool begun_ = false, launched_ = false, fenced_ = false, told_ = true, unwanted_ = false, absent_ = false,
       found_again_ = false;

  runtime::Time grace_until_ = runtime::kNever, max_grace_until_ = runtime::kNever;
  std::optional<runtime::Time> suspend_term_at_, local_kill_at_;
  runtime::Time kill_again_{}, clean_again_{}, verify_again_{};
  bool verifying_ = false;

  std::uint64_t fence_round_ = 0;
  bool fence_holds_ = false;
  std::uint64_t step_max_ = 0, last_step_ms_ = 0, first_seen_ms_ = 0, saved_ms_ = 0;
  double rate_ = 0;
  runtime::Time rate_at_{};
  std::uint64_t rate_step_ = 0;
  std::uint64_t state_generation_ = 0;
  std::string user_state_;
};

}  // namespace ff::ctl
