// How long a pass of the scheduler takes: a cluster that is full of jobs, a long queue, and a few ends and arrivals
// between passes, as a live master has them. Prints one JSON object.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "ffctl/sched/plan.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::ctl::sched {
namespace {

struct Settings {
  std::int64_t nodes = 10'000;
  std::int64_t queued = 50'000;
  std::int64_t passes = 200;
  std::int64_t seed = 1;
  std::string policy = "slice";
};

class Cluster {
 public:
  explicit Cluster(const Settings& settings) : settings_(settings), rng_(static_cast<std::uint64_t>(settings.seed)) {
    s_.now = Ms{1'000'000} * 3'600'000 / 1000;
    for (std::uint32_t i = 0; i < settings.nodes; ++i) {
      s_.nodes.push_back({.zone = i / 5'000,
                          .leaf = i / 40,
                          .gpus = 8,
                          .cpus = 128,
                          .memory_bytes = 1ull << 40,
                          .labels = rng_.below(4)});
    }
    for (std::uint32_t user = 0; user < 200; ++user) s_.users.push_back({.usage = rng_.uniform()});
  }

  void fill() {
    while (std::ranges::count(s_.jobs, Hold::kQueued, &JobView::hold) < settings_.queued) s_.jobs.push_back(job());
  }
  Plan plan(const Policy& policy) const { return sched::plan(s_, policy); }

  void apply(const Plan& plan) {
    for (const Preempt& p : plan.preempts) {
      s_.jobs[p.victim].hold = Hold::kEnding;
      s_.jobs[p.victim].ending_for = s_.jobs[p.by].id;
    }
    for (const Start& start : plan.starts) {
      JobView& job = s_.jobs[start.job];
      job.hold = Hold::kRunning;
      job.held = start.nodes;
      job.running_since = s_.now;
    }
  }

  // A tenth of a second, in which some end and as many come.
  void go_on() {
    s_.now += 100 + static_cast<Ms>(rng_.below(600'000));
    std::erase_if(s_.jobs, [&](const JobView& job) {
      return job.hold == Hold::kEnding || (job.hold == Hold::kRunning && rng_.below(500) == 0);
    });
    fill();
  }

 private:
  JobView job() {
    JobView job{.id = ++id_,
                .user = static_cast<std::uint32_t>(rng_.below(200)),
                .tier = 2 + static_cast<std::uint32_t>(rng_.below(4))};
    const std::uint64_t kind = rng_.below(100);
    if (kind < 50) {
      job.request.gpus = 1 + static_cast<std::uint32_t>(rng_.below(7));
    } else {
      job.request.nodes = kind < 80 ? 1 : 1u << rng_.below(9);
    }
    if (rng_.below(10) == 0) job.request.labels = 1 + rng_.below(3);
    job.submitted = s_.now - static_cast<Ms>(rng_.below(86'400'000));
    job.waiting_since = job.submitted;
    job.estimate = static_cast<Ms>(60'000 + rng_.below(172'800'000));
    job.service = static_cast<Ms>(rng_.below(20'000'000));
    job.preemptible = rng_.below(5) != 0;
    return job;
  }

  const Settings& settings_;
  Rng rng_;
  Snapshot s_;
  std::uint64_t id_ = 0;
};

Result<int> measure(const Settings& settings) {
  const Policy policy{.kind = settings.policy == "fifo"   ? Kind::kFifo
                              : settings.policy == "easy" ? Kind::kEasy
                                                          : Kind::kSlice};
  Cluster cluster(settings);
  cluster.fill();
  std::vector<double> ms;
  double first = 0;
  std::size_t starts = 0, preempts = 0;
  for (std::int64_t pass = 0; pass <= settings.passes; ++pass) {
    const auto began = std::chrono::steady_clock::now();
    const Plan plan = cluster.plan(policy);
    const double took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
    // The first finds an empty cluster: no live one is.
    if (pass == 0) {
      first = took;
    } else {
      ms.push_back(took);
      starts += plan.starts.size();
      preempts += plan.preempts.size();
    }
    cluster.apply(plan);
    cluster.go_on();
  }
  std::ranges::sort(ms);
  const auto quantile = [&](double q) {
    return ms[std::min(ms.size() - 1, static_cast<std::size_t>(q * static_cast<double>(ms.size())))];
  };
  fmt::print(R"({{"nodes":{},"queued":{},"passes":{},"policy":"{}","first_ms":{:.2f},"p50_ms":{:.2f},"p99_ms":{:.2f},)"
             R"("max_ms":{:.2f},"starts":{},"preemptions":{}}})"
             "\n",
             settings.nodes, settings.queued, settings.passes, settings.policy, first, quantile(0.5), quantile(0.99),
             ms.back(), starts, preempts);
  return cli::kExitOk;
}

}  // namespace
}  // namespace ff::ctl::sched

int main(int argc, char** argv) {
  ff::ctl::sched::Settings settings;
  ff::cli::App app{.root = {.name = "ctl_sched_bench", .summary = "Time passes of the scheduler"}};
  app.root.options = {
      {.names = "--nodes", .target = &settings.nodes, .help = "nodes of the cluster", .min = 1, .max = 1e6},
      {.names = "--queued", .target = &settings.queued, .help = "jobs that wait", .min = 1, .max = 1e7},
      {.names = "--passes", .target = &settings.passes, .help = "passes after the first", .min = 1, .max = 1e6},
      {.names = "--seed", .target = &settings.seed, .help = "of all that is random", .min = 0},
      {.names = "--policy", .target = &settings.policy, .help = "what decides", .choices = {"fifo", "easy", "slice"}},
  };
  app.root.run = [&settings] { return ff::ctl::sched::measure(settings); };
  return ff::cli::run(std::move(app), argc, argv);
}
