// Scheduling: the scheduler's decisions (ffctl/sched, pure) over the engine's state, and what they say to people.
//
// A pass     views of nodes, jobs and quotas as they are now; plan(); its starts and preemptions given to the engine.
//            What does not fit any more is left to the next pass.
// Shares     What users have had counts less with time: half of it after a day. It is not stored: after a change of
//            leaders it is what their jobs that are still known had.
// Threads    One. Ownership: nothing is kept of an Engine between calls.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ffctl/master/engine.hpp"
#include "ffctl/sched/types.hpp"

namespace ff::ctl {

class Scheduling {
 public:
  // `policy`: "slice", "easy" or "fifo". kInvalidArgument for another.
  static Result<Scheduling> create(const std::string& policy, std::uint64_t min_run_ms = 15 * 60'000);
  // Another engine's state, or another state of this one.
  void begin(const Engine& engine, std::uint64_t now);

  struct Pass {
    std::size_t started = 0;
    std::size_t preempted = 0;
  };
  Pass pass(Engine& engine, std::uint64_t now);

  // Why the job is where it is, as of the last pass.
  ExplainReply explain(const Engine& engine, const JobEntry& entry, std::uint64_t now) const;
  // As if these were submitted now, together; nothing is.
  std::vector<StartEstimate> estimate(const Engine& engine, const SubmitRequest& request, const Actor& actor,
                                      std::uint64_t now) const;
  // As of the last pass, in its order; those that came since are last, without a position.
  ListQueueReply queue(const Engine& engine, const ListQueueRequest& request, std::size_t bytes_max) const;
  // Whether the views that are kept are those that would be made now; for tests.
  bool kept_views_hold(const Engine& engine, std::uint64_t now) const;
  std::size_t kept_views() const noexcept { return kept_.size(); }
  // When something would be decided anew without any other change; 0: never.
  std::uint64_t next_pass_ms() const noexcept { return next_pass_ms_; }
  const std::string& policy_name() const noexcept { return policy_name_; }
  // Of users that have a share of their own, have used something lately, or use something now.
  std::vector<Share> shares(const Engine& engine) const;

 private:
  // Numbers for names, in the order in which they were first seen.
  class Numbers {
   public:
    std::uint32_t of(const std::string& name) {
      const auto [at, fresh] = numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
      if (fresh) names_.push_back(&at->first);
      return at->second;
    }
    const std::uint32_t* find(const std::string& name) const {
      const auto found = numbers_.find(name);
      return found == numbers_.end() ? nullptr : &found->second;
    }
    const std::vector<const std::string*>& names() const noexcept { return names_; }

   private:
    std::unordered_map<std::string, std::uint32_t> numbers_;
    std::vector<const std::string*> names_;
  };
  // What the numbers of a snapshot stand for.
  struct Names {
    std::vector<std::string> nodes;
    Numbers users, queues, zones, leaves;
    std::map<std::string, std::uint32_t> labels;  // those that some job requires
  };
  struct Decided {
    std::uint64_t job = 0;
    sched::Verdict verdict;
  };
  // Of a queued job that asks for nothing by name: as long as the job is not changed, its view is the same at any time.
  struct Kept {
    std::uint64_t job = 0, version = 0;
    bool waited_for = false;  // perhaps nodes are kept for somebody that its last attempt made room for
    sched::JobView view;
  };
  // `kept`: views of before, by job, and then those of now; their numbers of users and queues are those of `names`.
  // Null: all are made anew.
  sched::Snapshot snapshot(const Engine& engine, std::uint64_t now, Names& names, std::vector<Kept>* kept) const;
  sched::NodeView node_view(const Engine& engine, const NodeEntry& node, Names& names) const;
  sched::JobView job_view(const Engine& engine, const JobEntry& entry, std::uint64_t now, Names& names) const;
  sched::Request request(const Engine& engine, const JobSpec& spec, const Names& names) const;
  void add_lease(const Engine& engine, const JobEntry& entry, std::uint64_t now, const Names& names,
                 sched::Snapshot& snapshot) const;
  void add_quotas(const Engine& engine, const Names& names, sched::Snapshot& snapshot) const;
  void keep_names();
  void use(const Engine& engine, std::uint64_t now);

  std::string policy_name_;
  sched::Policy policy_;
  std::uint64_t next_pass_ms_ = 0;
  std::uint64_t decided_ms_ = 0;
  std::vector<Decided> decided_;         // of the last pass, in its order
  Names names_;                          // of the last pass; users and queues keep their numbers
  std::vector<Kept> kept_;               // by job
  std::map<std::string, double> usage_;  // of users, decayed
  std::uint64_t used_ms_ = 0;            // until when
};

}  // namespace ff::ctl
