// What the scheduler sees and what it answers: plain values, so that the live master, `ffctl plan`, `explain` and the
// replay of traces can ask the same function. No names of jobs or users: those who ask keep the numbers' meanings.
//
// Units      Times are Unix milliseconds, durations milliseconds, both Ms; 0 is "none" unless noted. Service is
//            GPU milliseconds, or node milliseconds where a cluster has no GPUs.
// Nodes      are numbered 0.. in the order of Snapshot::nodes; jobs 0.. in that of Snapshot::jobs.
// GPUs       of a node are a bit mask, lowest device first; a node has at most 64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ff::ctl::sched {

using Ms = std::int64_t;
using NodeIndex = std::uint32_t;
using JobIndex = std::uint32_t;
inline constexpr std::uint32_t kNone = 0xffffffff;
inline constexpr std::uint32_t kGpusMax = 64;

struct NodeView {
  std::uint32_t zone = 0;
  std::uint32_t leaf = 0;  // unique over zones
  std::uint32_t gpus = 0;
  std::uint32_t cpus = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t labels = 0;    // interned: a bit each
  bool usable = true;          // reports, and is neither drained nor draining
  std::uint64_t kept_for = 0;  // id of a job that others have left it for a moment ago; 0: nobody's
};

struct Request {
  std::uint32_t nodes = 1;
  std::uint32_t gpus = 0;  // a node
  std::uint32_t cpus = 0;  // a node; 0: in proportion to the GPUs
  std::uint64_t memory_bytes = 0;
  std::uint64_t labels = 0;        // all of them must be there
  std::vector<NodeIndex> exclude;  // ascending
  std::vector<NodeIndex> only;     // ascending; empty: any

  // One node, and less than it may have: shares it with others.
  bool shares() const noexcept { return nodes == 1 && (gpus > 0 || cpus > 0); }
  friend bool operator==(const Request&, const Request&) = default;
};

// A node of a placement, and what is used of it.
struct Placed {
  NodeIndex node = 0;
  std::uint64_t gpus = 0;  // mask
  std::uint32_t cpus = 0;
  std::uint64_t memory_bytes = 0;
  bool whole = true;
  friend bool operator==(const Placed&, const Placed&) = default;
};

enum class Hold : std::uint8_t {
  kQueued,   // wants to start
  kRunning,  // or is starting
  kEnding,   // holds its nodes, and is leaving them: preempted, stopped, finished and being cleaned
};

struct JobView {
  std::uint64_t id = 0;
  std::uint32_t user = 0;
  std::uint32_t queue = 0;
  std::uint32_t tier = 0;  // priority: larger goes first
  Request request{};
  Ms submitted = 0;
  Ms waiting_since = 0;  // queued since, for starvation
  Ms estimate = 0;       // running time that is left; 0: unknown
  Ms service = 0;        // that it has had
  std::uint64_t array = 0;
  std::uint32_t array_limit = 0;

  Hold hold = Hold::kQueued;
  std::vector<Placed> held{};  // unless queued
  Ms running_since = 0;
  Ms min_run = 0;
  bool preemptible = false;      // by its mode and what is left of its budget
  Ms switch_cost = 0;            // as measured at its last suspension
  Ms saved = 0;                  // when its last checkpoint was made; 0: none since running_since
  std::uint64_t ending_for = 0;  // kEnding: the id of the job that its nodes are for; 0: nobody
  friend bool operator==(const JobView&, const JobView&) = default;
};

// So many nodes at most for jobs of `user` in `queue` whose tier is at least `tier`. kNone: each user, all queues.
struct QuotaView {
  std::uint32_t user = kNone;
  std::uint32_t queue = kNone;
  std::uint32_t tier = 0;
  std::uint32_t nodes = 0;
};

struct UserView {
  double share = 1;  // weight against the other users; above 0
  double usage = 0;  // decayed service
};

struct Snapshot {
  Ms now = 0;
  std::vector<NodeView> nodes{};
  std::vector<JobView> jobs{};
  std::vector<QuotaView> quotas{};
  std::vector<UserView> users{};  // by JobView::user; those beyond are as a default one
};

enum class Kind : std::uint8_t { kFifo, kEasy, kSlice };

struct Policy {
  Kind kind = Kind::kSlice;
  std::uint32_t reservations = 1;       // of blocked jobs, which nobody may delay by going first
  Ms default_estimate = 24 * 3600'000;  // of jobs without one
  // kSlice only.
  Ms level_service = 8 * 3600'000;  // service at which a job falls to level 1: an hour of a node of 8 GPUs
  std::uint32_t level_factor = 8;   // each further level begins at so many times the one before
  std::uint32_t levels = 2;
  Ms starving = 4 * 3600'000;  // a job that has waited for so long is of level 0, and goes first in its tier
  Ms min_run = 15 * 60'000;    // is not preempted before, nor before its own min_run
  bool fair = true;            // users above their share come after those below
};

enum class Reason : std::uint8_t {
  kStarts,
  kNever,    // no set of nodes of this cluster, were all free and well, would do
  kNoNodes,  // enough exist, but not enough are usable now
  kQuota,
  kArray,       // its array runs as many as it may
  kBusy,        // usable nodes are taken by jobs that it may not preempt, or hold back for
  kReserved,    // would fit, but would delay a job that goes first
  kPreempting,  // waits for nodes that others are leaving for it
  kOrder,       // strict order: somebody before it waits
};

struct Start {
  JobIndex job = 0;
  std::vector<Placed> nodes;  // in the order of node ranks: a zone's nodes together
};
struct Preempt {
  JobIndex victim = 0;
  JobIndex by = 0;
};
// Of a queued job.
struct Verdict {
  JobIndex job = 0;
  std::uint32_t position = 0;  // 1..: in the order of this pass
  Reason reason = Reason::kBusy;
  Ms start = 0;                      // expected, of jobs with a reservation; 0: unknown
  std::uint32_t nodes_matching = 0;  // kNever, kNoNodes: that would do by themselves
};

struct Plan {
  std::vector<Start> starts;
  std::vector<Preempt> preempts;
  std::vector<Verdict> verdicts;  // of every queued job, in the order of this pass
};

}  // namespace ff::ctl::sched
