// FakeNode: what ffnoded does with orders of a master, without processes: attempts whose ranks take time to start, to
// make steps, to save and to be cleaned up. Pure: time is given; what is due by then has happened.
//
// The program of a job is told by its command: "fake" and words "steps=20" (then it exits), "rate=10" (a second; 0: it
// publishes none and runs steps/10 s), "exit=0" (at its end), "save=1" (it saves when asked to suspend), "deaf=1"
// (heeds only KILL), "passing=1" (it reports a checkpoint of its last step), "launch=FAIL" (cannot be started).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ffctl/proto/agent.pb.h"

namespace ff::ctl {

struct FakeTimes {
  std::uint64_t launch_ms = 30;
  std::uint64_t save_ms = 100;
  std::uint64_t end_ms = 20;  // from TERM
  std::uint64_t clean_ms = 30;
};

class FakeNode {
 public:
  FakeNode(std::string name, std::string address, std::uint64_t instance, FakeTimes times = {});

  // False: of a master that was followed by another, or older than the last.
  bool apply(const ApplyRequest& request, std::uint64_t now);
  NodeReport report(std::uint64_t now);
  // The lease of an answer to a report that was sent then, by the node's own steady clock: fence() looks at it.
  void lease(const ReportReply& reply, std::uint64_t sent);
  // Kills what may not run any more, all at once, and from the first call on begins nothing without a lease.
  void fence(std::uint64_t steady_now, std::uint64_t now);
  // When something happens next that a report should tell; 0: nothing is due.
  std::uint64_t next(std::uint64_t now);
  // Everything ends as with a power cut.
  void lose_all() { attempts_.clear(); }

  NodeFacts& facts() noexcept { return facts_; }
  // Attempts with live ranks: the job, and which placement of it.
  std::vector<std::pair<std::uint64_t, std::string>> running() const;
  // Of the ranks of an attempt, or the last that is known; 0: none.
  std::uint64_t step_of(std::uint64_t job) const;
  // Where ranks of suspended attempts left: (job, attempt) -> step.
  const std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t>& left_at() const noexcept { return left_at_; }

 private:
  struct Local {
    DesiredAttempt want;
    AttemptReport::State state = AttemptReport::PREPARING;
    std::uint64_t since = 0;  // of the state
    std::uint64_t steps = 20, rate = 10, first = 0;
    std::uint64_t step = 0, stepped_ms = 0;
    std::uint64_t saving = 0;  // since
    std::uint64_t ending = 0;  // since
    int ending_code = 0;
    int exit_code = 0;
    int code = 0;
    bool saves = false, deaf = false, passing = false, fails = false, saved = false, seen = false, dropped = false;
    std::uint64_t saved_step = 0;
    std::uint64_t round = 0, fence = 0;
    bool committed = false, holds = false, fenced = false;
    std::uint64_t ended_ms = 0;
  };
  void advance(std::uint64_t now);
  void advance(Local& local, std::uint64_t now);
  void take(Local& local, const DesiredAttempt& want, std::uint64_t now);
  void end(Local& local, int code, std::uint64_t now);

  NodeFacts facts_;
  std::uint64_t instance_;
  FakeTimes times_;
  std::uint64_t sequence_ = 0, epoch_ = 0, applied_ = 0;
  std::uint64_t seen_epoch_ = 0;  // of answers as well
  std::uint64_t lease_at_ = 0, stop_at_ = 0;
  std::uint64_t void_epoch_ = 0, void_ = 0;
  bool leased_ = true;
  std::map<std::pair<std::uint64_t, std::uint32_t>, Local> attempts_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t> left_at_;
};

}  // namespace ff::ctl
