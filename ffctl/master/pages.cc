#include "ffctl/master/pages.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "ffctl/job/words.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr runtime::Duration kSampleEvery = 1s;
constexpr auto kStuckAfter = 10s, kClose = 2s;
constexpr std::array kPhases = {HELD, DEPENDS, QUEUED, STARTING, RUNNING, SUSPENDING, SUSPENDED, STOPPING, DONE};
constexpr std::array kNodeStates = {NodeInfo::READY, NodeInfo::BUSY, NodeInfo::DRAINED, NodeInfo::LOST,
                                    NodeInfo::CHECKING};

}  // namespace

struct MasterPages::Shown {
  std::atomic<double> leads = 0, pass_seconds = 0, events = 0;
  std::array<std::atomic<double>, kPhases.size()> jobs{};
  std::array<std::atomic<double>, EXTREME + 1> queue{};
  std::array<std::atomic<double>, kNodeStates.size()> nodes{};
  std::atomic<std::uint64_t> submits = 0, starts = 0, preemptions = 0, passes = 0, orders = 0, orders_failed = 0,
                             reports = 0;

  std::mutex mutex;  // guards what follows
  Result<> trouble;
  Deadline fresh_until = Deadline::after(kStuckAfter);
};

MasterPages::MasterPages(runtime::Env& env, metrics::Registry& registry, Master& master, rpc::Server& server)
    : env_(env),
      registry_(registry),
      master_(master),
      server_(server),
      shown_(std::make_shared<Shown>()),
      scope_(env) {}

MasterPages::~MasterPages() = default;

void MasterPages::sample() {
  Shown& s = *shown_;
  const MasterCounts& counts = master_.counts();
  s.leads = master_.leads() ? 1 : 0;
  s.pass_seconds = counts.last_pass_ms / 1000;
  s.submits = counts.submits;
  s.starts = counts.starts;
  s.preemptions = counts.preemptions;
  s.passes = counts.passes;
  s.orders = counts.orders;
  s.orders_failed = counts.orders_failed;
  s.reports = counts.reports;
  std::array<double, kPhases.size()> jobs{};
  std::array<double, EXTREME + 1> queue{};
  std::array<double, kNodeStates.size()> nodes{};
  if (master_.leads()) {
    const State& state = master_.engine().state();
    for (const auto& [id, entry] : state.jobs) {
      ++jobs[static_cast<std::size_t>(std::ranges::find(kPhases, entry.job().phase()) - kPhases.begin())];
      if (entry.job().phase() == QUEUED) ++queue[static_cast<std::size_t>(entry.spec.priority())];
    }
    for (const auto& [name, node] : state.nodes)
      ++nodes[static_cast<std::size_t>(std::ranges::find(kNodeStates, master_.engine().node_state(node)) -
                                       kNodeStates.begin())];
    s.events = static_cast<double>(state.header.next_event() - 1);
  }
  for (std::size_t i = 0; i < jobs.size(); ++i) s.jobs[i] = jobs[i];
  for (std::size_t i = 0; i < queue.size(); ++i) s.queue[i] = queue[i];
  for (std::size_t i = 0; i < nodes.size(); ++i) s.nodes[i] = nodes[i];
  const std::lock_guard lock(s.mutex);
  s.trouble = {};
  if (master_.trouble()) s.trouble = fail(*master_.trouble());
  s.fresh_until = Deadline::after(kStuckAfter);
}

Result<> MasterPages::add_metrics() {
  const auto keep = [&](Result<metrics::Registration> made) -> Result<> {
    if (!made) return fail(std::move(made).error());
    registrations_.push_back(std::move(*made));
    return {};
  };
  const auto gauge = [&](std::string name, metrics::Unit unit, std::string help, metrics::Labels labels,
                         std::atomic<double> Shown::* member) {
    return keep(registry_.callback_gauge({std::move(name), unit, std::move(help), std::move(labels)},
                                         [s = shown_, member] { return (*s.*member).load(); }));
  };
  const auto counter = [&](std::string name, std::string help, std::atomic<std::uint64_t> Shown::* member) {
    return keep(registry_.callback_counter({std::move(name), metrics::Unit::kNone, std::move(help), {}},
                                           [s = shown_, member] { return static_cast<double>((*s.*member).load()); }));
  };
  FF_TRY(gauge("ff_ctl_leads", metrics::Unit::kNone, "Whether this ffctld leads.", {}, &Shown::leads));
  FF_TRY(gauge("ff_ctl_last_pass_seconds", metrics::Unit::kSeconds, "Time of the last scheduling pass.", {},
               &Shown::pass_seconds));
  FF_TRY(gauge("ff_ctl_last_event", metrics::Unit::kNone, "Number of the last event.", {}, &Shown::events));
  for (std::size_t i = 0; i < kPhases.size(); ++i)
    FF_TRY(keep(registry_.callback_gauge(
        {"ff_ctl_jobs", metrics::Unit::kNone, "Jobs by phase.", {{"phase", phase_text(kPhases[i])}}},
        [s = shown_, i] { return s->jobs[i].load(); })));
  for (std::size_t i = IDLE; i <= EXTREME; ++i)
    FF_TRY(keep(registry_.callback_gauge({"ff_ctl_queue_depth",
                                          metrics::Unit::kNone,
                                          "Queued jobs by priority.",
                                          {{"priority", priority_text(static_cast<Priority>(i))}}},
                                         [s = shown_, i] { return s->queue[i].load(); })));
  for (std::size_t i = 0; i < kNodeStates.size(); ++i)
    FF_TRY(keep(registry_.callback_gauge({"ff_ctl_nodes",
                                          metrics::Unit::kNone,
                                          "Nodes by state.",
                                          {{"state", lower_name(NodeInfo::State_Name(kNodeStates[i]))}}},
                                         [s = shown_, i] { return s->nodes[i].load(); })));
  FF_TRY(counter("ff_ctl_submits_total", "Jobs submitted.", &Shown::submits));
  FF_TRY(counter("ff_ctl_starts_total", "Attempts started.", &Shown::starts));
  FF_TRY(counter("ff_ctl_preemptions_total", "Attempts preempted.", &Shown::preemptions));
  FF_TRY(counter("ff_ctl_passes_total", "Scheduling passes.", &Shown::passes));
  FF_TRY(counter("ff_ctl_orders_total", "Orders sent to nodes.", &Shown::orders));
  FF_TRY(counter("ff_ctl_orders_failed_total", "Orders that no node answered.", &Shown::orders_failed));
  return counter("ff_ctl_reports_total", "Reports of nodes.", &Shown::reports);
}

Result<std::string> MasterPages::start(const net::Address& at) {
  sample();
  FF_TRY(add_metrics());
  FF_TRY_ASSIGN(http_, metrics::HttpServer::start(registry_, {.address = at.host, .port = at.port}));
  const auto keep = [&](Result<metrics::Registration> made) {
    if (made) registrations_.push_back(std::move(*made));
  };
  keep(http_->add_check("store", [s = shown_]() -> Result<> {
    const std::lock_guard lock(s->mutex);
    return s->trouble;
  }));
  keep(http_->add_check("reactor", [s = shown_]() -> Result<> {
    const std::lock_guard lock(s->mutex);
    if (!s->fresh_until.expired()) return {};
    return fail(Errc::kTimeout, fmt::format("the reactor has not come round for {} s", kStuckAfter / 1s));
  }));
  keep(http_->add_requests("rpc", server_.request_source()));
  scope_.spawn(sample_loop());
  return http_->endpoint();
}

Task<void> MasterPages::sample_loop() {
  while (co_await runtime::sleep(kSampleEvery)) sample();
}

// Under a context of its own: ours may be cancelled.
Task<void> MasterPages::stop() {
  runtime::Scope scope(env_);
  scope.spawn(stop_all());
  (void)co_await scope.join();
}

Task<void> MasterPages::stop_all() {
  scope_.cancel();
  (void)co_await scope_.join();
  if (http_ == nullptr) co_return;
  // Not on the reactor: a page that is being made may be waiting for it.
  (void)co_await runtime::offload(env_, [this] {
    (void)http_->stop(Deadline::after(kClose));
    registrations_.clear();
    http_.reset();
  });
}

}  // namespace ff::ctl
