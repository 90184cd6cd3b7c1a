// Small clusters and queues for tests of the scheduler, and the laws that every plan keeps.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ffctl/sched/plan.hpp"

namespace ff::ctl::sched {

inline constexpr Ms kMinute = 60'000;
inline constexpr Ms kHour = 60 * kMinute;
inline constexpr Ms kNow = 1000 * kHour;

inline NodeView node(std::uint32_t zone = 0, std::uint32_t leaf = 0, std::uint32_t gpus = 8) {
  return {.zone = zone, .leaf = leaf, .gpus = gpus, .cpus = 64, .memory_bytes = 512ull << 30};
}

inline JobView wants(std::uint64_t id, std::uint32_t nodes, std::uint32_t tier = 3, std::uint32_t user = 0) {
  JobView job{.id = id, .user = user, .tier = tier};
  job.request.nodes = nodes;
  job.submitted = static_cast<Ms>(id);
  job.waiting_since = kNow;
  return job;
}

inline JobView wants_gpus(std::uint64_t id, std::uint32_t gpus, std::uint32_t tier = 3, std::uint32_t user = 0) {
  JobView job = wants(id, 1, tier, user);
  job.request.gpus = gpus;
  return job;
}

inline std::vector<Placed> whole_nodes(const Snapshot& s, std::vector<NodeIndex> nodes) {
  std::vector<Placed> placed;
  for (const NodeIndex n : nodes) {
    const NodeView& v = s.nodes[n];
    placed.push_back({.node = n,
                      .gpus = v.gpus >= 64 ? ~0ull : (1ull << v.gpus) - 1,
                      .cpus = v.cpus,
                      .memory_bytes = v.memory_bytes});
  }
  return placed;
}

// A preemptible job that has run for so long.
inline JobView runs(const Snapshot& s, std::uint64_t id, std::vector<NodeIndex> nodes, std::uint32_t tier = 3,
                    std::uint32_t user = 1, Ms ran = kHour) {
  JobView job = wants(id, static_cast<std::uint32_t>(nodes.size()), tier, user);
  job.hold = Hold::kRunning;
  job.held = whole_nodes(s, std::move(nodes));
  job.running_since = s.now - ran;
  job.preemptible = true;
  return job;
}

inline Snapshot cluster(std::uint32_t nodes, Ms now = kNow) {
  Snapshot s{.now = now};
  for (std::uint32_t i = 0; i < nodes; ++i) s.nodes.push_back(node());
  return s;
}

inline const Start* start_of(const Plan& plan, JobIndex job) {
  const auto at = std::ranges::find(plan.starts, job, &Start::job);
  return at == plan.starts.end() ? nullptr : &*at;
}

inline Verdict verdict_of(const Plan& plan, JobIndex job) {
  const auto at = std::ranges::find(plan.verdicts, job, &Verdict::job);
  return at == plan.verdicts.end() ? Verdict() : *at;
}

inline std::set<JobIndex> victims_of(const Plan& plan) {
  std::set<JobIndex> victims;
  for (const Preempt& p : plan.preempts) victims.insert(p.victim);
  return victims;
}

// Empty: every law is kept.
inline std::string broken_law(const Snapshot& s, const Plan& plan) {
  std::vector<std::uint64_t> gpus(s.nodes.size());
  std::vector<std::uint64_t> cpus(s.nodes.size()), memory(s.nodes.size());
  std::vector<unsigned> holders(s.nodes.size()), whole(s.nodes.size());
  const auto use = [&](const Placed& p) {
    if ((gpus[p.node] & p.gpus) != 0) return false;
    gpus[p.node] |= p.gpus;
    cpus[p.node] += p.cpus;
    memory[p.node] += p.memory_bytes;
    ++holders[p.node];
    whole[p.node] += p.whole;
    const NodeView& v = s.nodes[p.node];
    return cpus[p.node] <= v.cpus && memory[p.node] <= v.memory_bytes && (whole[p.node] == 0 || holders[p.node] == 1);
  };
  for (const JobView& job : s.jobs) {
    for (const Placed& p : job.held) {
      if (!use(p)) return "the snapshot itself is wrong";
    }
  }
  std::set<JobIndex> started;
  for (const Start& start : plan.starts) {
    const JobView& job = s.jobs[start.job];
    if (job.hold != Hold::kQueued) return "starts what is not queued";
    if (!started.insert(start.job).second) return "starts a job twice";
    if (start.nodes.size() != job.request.nodes) return "starts a part of a gang";
    std::vector<std::uint32_t> zones;
    for (const Placed& p : start.nodes) {
      const NodeView& v = s.nodes[p.node];
      if (!v.usable) return "uses a node that is not usable";
      if ((v.labels & job.request.labels) != job.request.labels) return "labels";
      if (std::ranges::binary_search(job.request.exclude, p.node)) return "excluded";
      if (!job.request.only.empty() && !std::ranges::binary_search(job.request.only, p.node)) return "only";
      if (!use(p)) return "a node is given beyond what it has";
      if (std::popcount(p.gpus) < static_cast<int>(job.request.gpus)) return "too few GPUs";
      if (zones.empty() || zones.back() != v.zone) zones.push_back(v.zone);
    }
    if (zones.size() > 2) return "more than one pair of nodes crosses zones";
  }
  std::set<JobIndex> victims;
  for (const Preempt& p : plan.preempts) {
    const JobView &victim = s.jobs[p.victim], &by = s.jobs[p.by];
    if (victim.hold != Hold::kRunning || !victim.preemptible) return "preempts what may not be";
    if (!victims.insert(p.victim).second) return "preempts a job twice";
    if (victim.tier > by.tier) return "preempts a higher tier";
    if (victim.tier == by.tier && victim.user == by.user) return "preempts the same user in the same tier";
    if (started.contains(p.by)) return "starts and preempts for the same job";
  }
  std::size_t queued = 0;
  for (const JobView& job : s.jobs) queued += job.hold == Hold::kQueued;
  if (plan.verdicts.size() != queued) return "a queued job has no verdict";
  for (const Verdict& v : plan.verdicts) {
    if ((v.reason == Reason::kStarts) != started.contains(v.job)) return "a verdict that does not fit";
  }
  return {};
}

}  // namespace ff::ctl::sched
