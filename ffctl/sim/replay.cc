#include "ffctl/sim/replay.hpp"

#include <algorithm>
#include <cmath>
#include <queue>
#include <tuple>

#include "libcommon/base/assert.hpp"

namespace ff::ctl::sim {
namespace {

using sched::Hold;
using sched::JobIndex;
using sched::JobView;
using sched::Ms;

constexpr Ms kSlowdownBound = 600'000;

// What the scheduler does not see of a job.
struct Course {
  std::size_t trace = 0;
  Ms first_start = -1;
  Ms work_left = 0;        // running time without interruptions
  Ms resumes_at = 0;       // progress begins
  Ms ends_at = 0;          // done, or its nodes are free
  std::uint32_t life = 0;  // tells events of the present run from earlier ones
};

struct Event {
  Ms at = 0;
  std::size_t trace = 0;
  std::uint32_t life = 0;
  friend bool operator>(const Event& a, const Event& b) { return std::tie(a.at, a.trace) > std::tie(b.at, b.trace); }
};

class Replay {
 public:
  Replay(std::span<const TraceJob> trace, const ReplayOptions& options)
      : trace_(trace), options_(options), policy_(options.policy), place_(trace.size()) {
    FF_ASSERT(options.tick > 0 && options.gpus_per_node >= 1 && options.gpus_per_node <= sched::kGpusMax, options.tick);
    policy_.fair = policy_.fair && options.groups_are_users;
    for (std::uint32_t i = 0; i < options.nodes; ++i) {
      const std::uint32_t leaf = i / options.nodes_per_leaf;
      s_.nodes.push_back({.zone = leaf / options.leaves_per_zone, .leaf = leaf, .gpus = options.gpus_per_node});
    }
  }

  ReplayResult run() {
    result_.jobs = trace_.size();
    while (next_ < trace_.size() || !events_.empty()) {
      const Ms submit = next_ < trace_.size() ? trace_[next_].submit : events_.top().at;
      const Ms happens = events_.empty() ? submit : std::min(submit, events_.top().at);
      // All that happens until the tick after it; then one pass.
      const Ms tick = (happens + options_.tick - 1) / options_.tick * options_.tick;
      while (next_ < trace_.size() && trace_[next_].submit <= tick) arrive(next_++);
      while (!events_.empty() && events_.top().at <= tick) {
        const Event event = events_.top();
        events_.pop();
        happened(event);
      }
      pass(tick);
    }
    return finish();
  }

 private:
  double gpus(const JobView& job) const {
    return job.request.shares() ? job.request.gpus : job.request.nodes * double{1} * options_.gpus_per_node;
  }

  void arrive(std::size_t t) {
    const TraceJob& about = trace_[t];
    JobView job{
        .id = t + 1, .user = options_.groups_are_users ? about.group : static_cast<std::uint32_t>(t), .tier = 3};
    if (about.gpus < options_.gpus_per_node) {
      job.request.gpus = about.gpus;
    } else {
      job.request.nodes = (about.gpus + options_.gpus_per_node - 1) / options_.gpus_per_node;
    }
    if (job.request.nodes > options_.nodes) {
      ++result_.never;
      return;
    }
    job.submitted = job.waiting_since = about.submit;
    job.estimate = about.duration;
    job.switch_cost = options_.switch_cost;
    job.preemptible = true;
    place_[t] = static_cast<JobIndex>(s_.jobs.size());
    s_.jobs.push_back(std::move(job));
    courses_.push_back({.trace = t, .work_left = about.duration});
  }

  void happened(const Event& event) {
    const JobIndex j = place_[event.trace];
    if (j == sched::kNone || courses_[j].life != event.life) return;
    JobView& job = s_.jobs[j];
    Course& course = courses_[j];
    held_gpu_ms_ += gpus(job) * static_cast<double>(event.at - job.running_since);
    within_ +=
        gpus(job) * static_cast<double>(std::clamp(last_submit(), job.running_since, event.at) - job.running_since);
    if (job.hold == Hold::kEnding) {
      for (const sched::Placed& p : job.held) s_.nodes[p.node].kept_for = job.ending_for;
      leases_ = true;
      job.hold = Hold::kQueued;
      job.held.clear();
      job.ending_for = 0;
      job.waiting_since = event.at;
      job.estimate = course.work_left;
      ++course.life;
      return;
    }
    done(j, event.at);
  }

  Ms last_submit() const { return trace_.back().submit; }

  void done(JobIndex j, Ms at) {
    const TraceJob& about = trace_[courses_[j].trace];
    const double completion = static_cast<double>(at - about.submit);
    waits_.push_back(static_cast<double>(courses_[j].first_start - about.submit) / 1000);
    if (about.gpus >= 8) {
      large_waits_.push_back(waits_.back());
      large_completions_.push_back(completion / 1000);
    }
    completion_ += completion / 1000;
    slowdown_ += std::max(1.0, completion / static_cast<double>(std::max(about.duration, kSlowdownBound)));
    useful_gpu_ms_ += gpus(s_.jobs[j]) * static_cast<double>(about.duration);
    result_.end_s = std::max(result_.end_s, static_cast<double>(at) / 1000);
    place_[courses_[j].trace] = sched::kNone;
    if (j + 1 != s_.jobs.size()) {
      s_.jobs[j] = std::move(s_.jobs.back());
      courses_[j] = courses_.back();
      place_[courses_[j].trace] = j;
    }
    s_.jobs.pop_back();
    courses_.pop_back();
  }

  void pass(Ms now) {
    s_.now = now;
    for (JobIndex j = 0; j < s_.jobs.size(); ++j) {
      JobView& job = s_.jobs[j];
      if (job.hold == Hold::kQueued) continue;
      job.estimate = std::max<Ms>(courses_[j].ends_at - now, 1);
      if (job.hold == Hold::kRunning) {
        job.service = service_before_[courses_[j].trace] +
                      static_cast<Ms>(gpus(job) * static_cast<double>(now - job.running_since));
      }
    }
    ++result_.passes;
    const sched::Plan plan = sched::plan(s_, policy_);
    for (const sched::Preempt& p : plan.preempts) preempt(p.victim, s_.jobs[p.by].id, now);
    for (const sched::Start& start : plan.starts) begin(start, now);
  }

  void begin(const sched::Start& start, Ms now) {
    JobView& job = s_.jobs[start.job];
    Course& course = courses_[start.job];
    job.hold = Hold::kRunning;
    job.held = start.nodes;
    job.running_since = now;
    end_leases(job.id);
    const bool resumed = course.first_start >= 0;
    if (!resumed) course.first_start = now;
    course.resumes_at = now + (resumed ? options_.switch_cost - options_.switch_cost / 2 : 0);
    course.ends_at = course.resumes_at + course.work_left;
    events_.push({.at = course.ends_at, .trace = course.trace, .life = ++course.life});
  }

  void end_leases(std::uint64_t id) {
    if (!leases_) return;
    leases_ = false;
    for (sched::NodeView& node : s_.nodes) {
      if (node.kept_for == id) node.kept_for = 0;
      leases_ = leases_ || node.kept_for != 0;
    }
  }

  void preempt(JobIndex j, std::uint64_t by, Ms now) {
    JobView& job = s_.jobs[j];
    Course& course = courses_[j];
    job.hold = Hold::kEnding;
    job.ending_for = by;
    course.work_left -= std::max<Ms>(now - course.resumes_at, 0);
    course.ends_at = now + options_.switch_cost / 2;
    service_before_[course.trace] = job.service;
    events_.push({.at = course.ends_at, .trace = course.trace, .life = ++course.life});
    ++result_.preemptions;
  }

  static double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
  }

  static double quantile(const std::vector<double>& sorted, double q) {
    if (sorted.empty()) return 0;
    return sorted[std::min(sorted.size() - 1,
                           static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size()))) - (q > 0))];
  }

  ReplayResult finish() {
    std::ranges::sort(waits_);
    const double count = std::max<double>(static_cast<double>(waits_.size()), 1);
    result_.wait_mean_s = mean(waits_);
    result_.wait_p50_s = quantile(waits_, 0.5);
    result_.wait_p95_s = quantile(waits_, 0.95);
    result_.wait_large_mean_s = mean(large_waits_);
    result_.completion_large_mean_s = mean(large_completions_);
    result_.completion_mean_s = completion_ / count;
    result_.slowdown_mean = slowdown_ / count;
    const double capacity =
        static_cast<double>(last_submit() - trace_.front().submit) * options_.nodes * options_.gpus_per_node;
    result_.occupancy = capacity > 0 ? within_ / capacity : 0;
    result_.goodput = held_gpu_ms_ > 0 ? useful_gpu_ms_ / held_gpu_ms_ : 0;
    return result_;
  }

  const std::span<const TraceJob> trace_;
  const ReplayOptions& options_;
  sched::Policy policy_;
  sched::Snapshot s_;
  std::vector<Course> courses_;  // as s_.jobs
  std::vector<JobIndex> place_;  // of a trace's job in s_.jobs; kNone: done
  std::vector<Ms> service_before_ = std::vector<Ms>(place_.size());
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::size_t next_ = 0;
  bool leases_ = false;
  std::vector<double> waits_, large_waits_, large_completions_;
  double completion_ = 0, slowdown_ = 0, held_gpu_ms_ = 0, useful_gpu_ms_ = 0, within_ = 0;
  ReplayResult result_;
};

}  // namespace

ReplayResult replay(std::span<const TraceJob> trace, const ReplayOptions& options) {
  if (trace.empty()) return {};
  return Replay(trace, options).run();
}

}  // namespace ff::ctl::sim
