// Random clusters, queues and policies: the laws hold for every plan, the same question has the same answer, and a
// queue that nobody adds to is worked off with a bounded number of preemptions.
#include <random>

#include "tests/unit/ffctl/sched/sched_testing.hpp"

namespace ff::ctl::sched {
namespace {

using Random = std::mt19937_64;

std::uint32_t below(Random& random, std::uint64_t bound) { return static_cast<std::uint32_t>(random() % bound); }

Policy random_policy(Random& random) {
  Policy policy;
  policy.kind = static_cast<Kind>(below(random, 3));
  policy.reservations = below(random, 4);
  policy.levels = 1 + below(random, 4);
  policy.min_run = below(random, 30) * kMinute;
  policy.fair = below(random, 2) == 0;
  return policy;
}

Snapshot random_cluster(Random& random) {
  Snapshot s{.now = kNow};
  const std::uint32_t nodes = 1 + below(random, 24), leaves = 1 + below(random, 6);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    const std::uint32_t leaf = below(random, leaves);
    NodeView v = node(leaf / 2, leaf, below(random, 4) == 0 ? 4 : 8);
    v.labels = below(random, 4);
    v.usable = below(random, 8) != 0;
    s.nodes.push_back(v);
  }
  return s;
}

JobView random_job(Random& random, const Snapshot& s, std::uint64_t id) {
  JobView job = below(random, 3) == 0 ? wants_gpus(id, 1 + below(random, 8)) : wants(id, 1 + below(random, 8));
  job.tier = 1 + below(random, 4);
  job.user = below(random, 3);
  job.queue = below(random, 2);
  job.estimate = below(random, 3) == 0 ? 0 : (1 + below(random, 300)) * kMinute;
  job.service = below(random, 40) * kHour / 4;
  job.waiting_since = s.now - below(random, 30) * kHour;
  job.preemptible = below(random, 4) != 0;
  job.min_run = below(random, 40) * kMinute;
  if (below(random, 6) == 0) job.request.labels = 1 + below(random, 3);
  if (below(random, 8) == 0) job.request.exclude = {below(random, s.nodes.size())};
  if (below(random, 10) == 0) job.request.only = {below(random, s.nodes.size())};
  if (below(random, 6) == 0) {
    job.array = 1 + below(random, 2);
    job.array_limit = 2;
  }
  return job;
}

// What the master does with a plan: starts run, victims leave.
void apply(Snapshot& s, const Plan& plan) {
  for (const Preempt& p : plan.preempts) {
    s.jobs[p.victim].hold = Hold::kEnding;
    s.jobs[p.victim].ending_for = s.jobs[p.by].id;
  }
  for (const Start& start : plan.starts) {
    s.jobs[start.job].hold = Hold::kRunning;
    s.jobs[start.job].held = start.nodes;
    s.jobs[start.job].running_since = s.now;
  }
}

class RandomPlans : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RandomPlans, KeepTheLaws) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    Random random(GetParam() * 1000 + round);
    Snapshot s = random_cluster(random);
    const Policy policy = random_policy(random);
    for (std::uint32_t q = below(random, 3); q > 0; --q) {
      s.quotas.push_back({.user = below(random, 2) == 0 ? kNone : below(random, 3),
                          .queue = below(random, 2) == 0 ? kNone : below(random, 2),
                          .tier = below(random, 4),
                          .nodes = below(random, 12)});
    }
    s.users = {{.share = 1, .usage = 5}, {.share = 2, .usage = 1}};
    std::uint64_t id = 0;
    for (int pass = 0; pass < 8; ++pass) {
      for (std::uint32_t n = below(random, 12); n > 0; --n) s.jobs.push_back(random_job(random, s, ++id));
      const Plan p = plan(s, policy);
      ASSERT_EQ(broken_law(s, p), "") << "seed " << GetParam() << " round " << round << " pass " << pass;
      const Plan again = plan(s, policy);
      ASSERT_EQ(p.starts.size(), again.starts.size());
      for (std::size_t i = 0; i < p.starts.size(); ++i) ASSERT_EQ(p.starts[i].nodes, again.starts[i].nodes);
      for (const QuotaView& quota : s.quotas) {
        std::map<std::uint32_t, double> used;
        Snapshot after = s;
        apply(after, p);
        for (const JobView& job : after.jobs) {
          if (job.held.empty() || job.tier < quota.tier) continue;
          if ((quota.user != kNone && quota.user != job.user) || (quota.queue != kNone && quota.queue != job.queue))
            continue;
          // Parts count at least as a part of the largest node.
          used[job.user] += job.request.shares() ? job.request.gpus / 8.0 : job.request.nodes;
        }
        for (const auto& [user, nodes] : used) ASSERT_LE(nodes, quota.nodes + 1e-6);
      }
      apply(s, p);
      s.now += below(random, 3) * 20 * kMinute;
      std::erase_if(s.jobs, [&](const JobView& job) {
        return job.hold == Hold::kEnding ? below(random, 2) == 0 : job.hold == Hold::kRunning && below(random, 5) == 0;
      });
      for (NodeView& v : s.nodes) {
        if (below(random, 20) == 0) v.usable = !v.usable;
      }
    }
  }
}

// Each job has work; nobody comes. Every one ends, and preemptions stay below what levels and starvation allow.
TEST_P(RandomPlans, WorkOffAStaticQueue) {
  Random random(GetParam());
  Snapshot s = random_cluster(random);
  for (NodeView& v : s.nodes) v.usable = true;
  Policy policy = random_policy(random);
  policy.min_run = 10 * kMinute;
  std::map<std::uint64_t, Ms> work;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    JobView job = random_job(random, s, id);
    job.waiting_since = s.now;
    job.service = 0;
    work[id] = (1 + below(random, 400)) * kMinute;
    s.jobs.push_back(job);
  }
  const Plan first = plan(s, policy);
  std::erase_if(s.jobs, [&](const JobView& job) {
    const auto index = static_cast<JobIndex>(&job - s.jobs.data());
    return verdict_of(first, index).reason == Reason::kNever;
  });
  std::size_t preemptions = 0, steps = 0;
  const std::size_t jobs = s.jobs.size();
  while (!s.jobs.empty()) {
    ASSERT_LT(++steps, 20000u) << "seed " << GetParam() << ": " << s.jobs.size() << " jobs are never done";
    const Plan p = plan(s, policy);
    ASSERT_EQ(broken_law(s, p), "") << "seed " << GetParam();
    preemptions += p.preempts.size();
    apply(s, p);
    s.now += 5 * kMinute;
    std::vector<JobView> kept;
    for (JobView& job : s.jobs) {
      if (job.hold != Hold::kQueued) {
        work[job.id] -= 5 * kMinute;
        job.service += 5 * kMinute * static_cast<Ms>(job.held.size());
      }
      if (work[job.id] <= 0) continue;
      if (job.hold == Hold::kEnding) {
        job.hold = Hold::kQueued;
        job.held.clear();
        job.ending_for = 0;
        job.waiting_since = s.now;
      }
      kept.push_back(job);
    }
    s.jobs = std::move(kept);
  }
  EXPECT_LE(preemptions, jobs * 20);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlans, testing::Range<std::uint64_t>(1, 41));

}  // namespace
}  // namespace ff::ctl::sched
