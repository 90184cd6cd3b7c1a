// What people and their programs ask.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffctl/master/master.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;
using runtime::Time;

namespace {

// Of a reply: below what one message takes.
constexpr std::size_t kReplyBytesMax = 3u << 20;
constexpr std::uint32_t kJobsMax = 100'000, kEventsDefault = 1000, kEventsMax = 100'000;
constexpr std::uint32_t kWaitMsMax = 30'000;
constexpr int kListMax = 100'000;  // of ids in one request

Task<Result<>> wait_for(runtime::WaitQueue& queue) { co_return co_await queue.wait(); }
// The pointer keeps the event.
Task<Result<>> wait_for(runtime::Event& event, std::shared_ptr<void>) { co_return co_await event.wait(); }

template <class List, class T>
bool contains(const List& list, const T& one) {
  return std::ranges::find(list, one) != list.end();
}

bool has_label(const JobSpec& spec, const std::string& label) {
  const std::size_t equals = label.find('=');
  const auto found = spec.labels().find(label.substr(0, equals));
  if (found == spec.labels().end()) return false;
  return equals == std::string::npos || found->second == label.substr(equals + 1);
}

bool matches(const JobEntry& entry, const JobFilter& filter) {
  const Job& job = entry.job();
  const bool asked = filter.done() || !filter.ids().empty() || !filter.names().empty() || !filter.phases().empty();
  if (job.phase() == DONE && !asked) return false;
  if (!filter.names().empty() && !contains(filter.names(), entry.spec.name())) return false;
  if (!filter.users().empty() && !contains(filter.users(), job.user())) return false;
  if (!filter.phases().empty() && !contains(filter.phases(), static_cast<int>(job.phase()))) return false;
  if (!filter.queue().empty() && filter.queue() != entry.spec.queue()) return false;
  if (job.submitted_ms() < filter.since_ms()) return false;
  return std::ranges::all_of(filter.labels(), [&](const std::string& label) { return has_label(entry.spec, label); });
}

// What programs are given and keep is their owner's: variables hold passwords and tokens.
void hide_secrets(Job& job) {
  job.mutable_spec()->mutable_run()->clear_environment();
  job.mutable_spec()->mutable_run()->clear_script();
  job.clear_state();
}

}  // namespace

Result<Actor> Master::actor_of(const rpc::ServerCall& call, const Caller& caller) const {
  return ctl::actor_of(call.peer(), caller, options_.uid, user_names_);
}

Result<const JobEntry*> Master::find_job(std::uint64_t id) const {
  const JobEntry* const entry = engine_.job(id);
  if (entry == nullptr) return fail(Errc::kNotFound, fmt::format("job {}: is not known", id));
  return entry;
}

Task<Result<SubmitReply>> Master::submit(rpc::ServerCall& call, const SubmitRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  SubmitReply reply;
  if (request.check_only()) {
    FF_CO_TRY(engine_.check_submit(request, actor));
    for (StartEstimate& one : scheduling_.estimate(engine_, request, actor, now_ms()))
      *reply.add_estimates() = std::move(one);
    co_return reply;
  }
  FF_CO_TRY_ASSIGN(const std::vector<std::uint64_t> ids, engine_.submit(request, actor, now_ms()));
  counts_.submits += ids.size();
  for (const std::uint64_t id : ids) reply.add_jobs(id);
  kick();
  FF_CO_TRY(co_await stored());
  co_return reply;
}

Task<Result<ListJobsReply>> Master::list_jobs(rpc::ServerCall& call, const ListJobsRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  ListJobsReply reply;
  const JobFilter& filter = request.filter();
  if (filter.ids_size() > kListMax) co_return fail(Errc::kInvalidArgument, "filter: too many ids");
  reply.set_journal(engine_.state().header.next_event() - 1);
  const std::uint32_t limit = request.limit() == 0 ? kJobsMax : std::min(request.limit(), kJobsMax);
  std::size_t bytes = 0;
  std::set<std::pair<std::string, std::string>> names;
  // False: the reply is full.
  const auto add = [&](const JobEntry& entry) {
    if (!matches(entry, filter)) return true;
    if (filter.latest_of_name() && !names.emplace(entry.job().user(), entry.spec.name()).second) return true;
    if (static_cast<std::uint32_t>(reply.jobs_size()) >= limit || bytes >= kReplyBytesMax) {
      reply.set_more(true);
      return false;
    }
    Job& job = *reply.add_jobs();
    if (request.row()) {
      entry.row_job(job);
    } else {
      job = entry.full_job(request.brief());
      if (!Engine::check_owner(entry, actor)) hide_secrets(job);
    }
    bytes += job.ByteSizeLong();
    return true;
  };
  const auto& jobs = engine_.state().jobs;
  if (!filter.ids().empty()) {
    std::set<std::uint64_t, std::greater<>> ids(filter.ids().begin(), filter.ids().end());
    for (const std::uint64_t id : ids) {
      if (request.before_id() != 0 && id >= request.before_id()) continue;
      if (const JobEntry* const entry = engine_.job(id); entry != nullptr && !add(*entry)) break;
    }
    co_return reply;
  }
  auto at = request.before_id() == 0 ? jobs.end() : jobs.lower_bound(request.before_id());
  while (at != jobs.begin()) {
    --at;
    if (!add(at->second)) break;
  }
  co_return reply;
}

Task<Result<WaitJobsReply>> Master::wait_jobs(rpc::ServerCall& call, const WaitJobsRequest& request) {
  const Time until =
      std::min(env_.now() + std::chrono::milliseconds(std::min(request.wait_ms(), kWaitMsMax)), call.deadline() - 50ms);
  if (request.jobs_size() > kListMax) co_return fail(Errc::kInvalidArgument, "wait: too many jobs");
  for (;;) {
    FF_CO_TRY(check_leads());
    WaitJobsReply reply;
    std::size_t there = 0;
    for (const std::uint64_t id : request.jobs()) {
      FF_CO_TRY_ASSIGN(const JobEntry* const entry, find_job(id));
      const JobPhase phase = entry->job().phase();
      // What is done reaches no other phase any more.
      const bool reached = phase == DONE || contains(request.until(), static_cast<int>(phase));
      there += reached ? 1 : 0;
    }
    const auto wanted = static_cast<std::size_t>(request.jobs_size());
    reply.set_reached(request.any() && wanted != 0 ? there != 0 : there == wanted);
    if (reply.reached() || env_.now() >= until) {
      // Before it is told.
      std::size_t bytes = 0;
      bool failed = false;
      for (const std::uint64_t id : request.jobs()) {
        const JobEntry* const entry = engine_.job(id);
        if (entry == nullptr) continue;
        // The first that did not succeed is always told: as it ended, so does who waits.
        const bool first_failed = !failed && entry->job().phase() == DONE && entry->job().result() != SUCCEEDED;
        failed = failed || first_failed;
        if (bytes >= kReplyBytesMax && !first_failed) continue;
        *reply.add_jobs() = entry->full_job(true);
        bytes += reply.jobs(reply.jobs_size() - 1).ByteSizeLong();
      }
      FF_CO_TRY(co_await stored());
      co_return reply;
    }
    Result<> woken = co_await runtime::with_deadline(until, "jobs", wait_for(changed_));
    if (!woken && (woken.error().code() != Errc::kTimeout || call.context().cancelled()))
      co_return fail(std::move(woken).error());
  }
}

Task<Result<ControlReply>> Master::control(rpc::ServerCall& call, const ControlRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  if (request.jobs_size() > kListMax) co_return fail(Errc::kInvalidArgument, "control: too many jobs");
  const ControlOrder order{.verb = request.verb(),
                           .priority = request.priority(),
                           .reason = request.reason(),
                           .force = request.force(),
                           .grace_ms = request.grace_ms()};
  ControlReply reply;
  for (const std::uint64_t id : request.jobs()) {
    ControlReply::One& one = *reply.add_jobs();
    one.set_job(id);
    if (Result<> done = engine_.control(id, order, actor, now_ms()); !done) {
      one.set_error(done.error().message());
      one.set_code(static_cast<std::uint32_t>(done.error().code()));
    }
    if (const JobEntry* const entry = engine_.job(id)) one.set_phase(entry->job().phase());
  }
  kick();
  FF_CO_TRY(co_await stored());
  co_return reply;
}

Task<Result<ListEventsReply>> Master::list_events(rpc::ServerCall& call, const ListEventsRequest& request) {
  const Time until =
      std::min(env_.now() + std::chrono::milliseconds(std::min(request.wait_ms(), kWaitMsMax)), call.deadline() - 50ms);
  const std::uint32_t limit = request.limit() == 0 ? kEventsDefault : std::min(request.limit(), kEventsMax);
  for (;;) {
    FF_CO_TRY(check_leads());
    const auto& events = engine_.state().events;
    const auto wanted = [&](const Event& event) {
      return event.id() > request.after() && (request.job() == 0 || event.job() == request.job()) &&
             (request.node().empty() || event.node() == request.node());
    };
    std::vector<const Event*> found;
    std::size_t bytes = 0;
    const auto add = [&](const Event& event) {
      if (!wanted(event)) return true;
      found.push_back(&event);
      bytes += event.ByteSizeLong();
      return found.size() < limit && bytes < kReplyBytesMax;
    };
    if (request.latest()) {
      for (auto at = events.rbegin(); at != events.rend() && add(*at); ++at) {
      }
      std::ranges::reverse(found);
    } else if (!events.empty()) {
      const std::uint64_t first = events.front().id();
      const std::size_t skip = request.after() < first ? 0 : request.after() - first + 1;
      for (std::size_t i = skip; i < events.size() && add(events[i]); ++i) {
      }
    }
    if (!found.empty() || env_.now() >= until) {
      ListEventsReply reply;
      for (const Event* event : found) *reply.add_events() = *event;
      FF_CO_TRY(co_await stored());
      co_return reply;
    }
    Result<> woken = co_await runtime::with_deadline(until, "events", wait_for(changed_));
    if (!woken && (woken.error().code() != Errc::kTimeout || call.context().cancelled()))
      co_return fail(std::move(woken).error());
  }
}

Task<Result<ExplainReply>> Master::explain(rpc::ServerCall&, const ExplainRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const JobEntry* const entry, find_job(request.job()));
  if (request.at_ms() == 0) co_return scheduling_.explain(engine_, *entry, now_ms());
  // What had happened to it by then.
  ExplainReply reply;
  const auto& events = engine_.state().events;
  for (auto at = events.rbegin(); at != events.rend(); ++at) {
    if (at->job() != request.job() || at->time_ms() > request.at_ms()) continue;
    reply.set_summary(at->text().empty() ? at->kind() : fmt::format("{}: {}", at->kind(), at->text()));
    reply.set_decided_ms(at->time_ms());
    co_return reply;
  }
  co_return fail(Errc::kNotFound, fmt::format("job {}: nothing is kept of it of that time", request.job()));
}

Task<Result<ListNodesReply>> Master::list_nodes(rpc::ServerCall&, const ListNodesRequest& request) {
  FF_CO_TRY(check_leads());
  ListNodesReply reply;
  const auto& nodes = engine_.state().nodes;
  if (request.names().empty()) {
    for (const auto& [name, node] : nodes) *reply.add_nodes() = engine_.node_info(node);
    co_return reply;
  }
  for (const std::string& name : request.names()) {
    const auto found = nodes.find(name);
    if (found == nodes.end()) co_return fail(Errc::kNotFound, fmt::format("node {}: is not known", name));
    *reply.add_nodes() = engine_.node_info(found->second);
  }
  co_return reply;
}

Task<Result<ControlNodeReply>> Master::control_node(rpc::ServerCall& call, const ControlNodeRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  ControlNodeReply reply;
  std::vector<std::pair<int, std::shared_ptr<NodeCheck>>> checks;
  for (const std::string& name : request.nodes()) {
    ControlNodeReply::One& one = *reply.add_nodes();
    one.set_node(name);
    Result<> done;
    if (request.verb() == ControlNodeRequest::CHECK) {
      const auto found = engine_.state().nodes.find(name);
      const std::string level = request.text().empty() ? "quick" : request.text();
      if (!actor.admin) {
        done = fail(Errc::kPermission, fmt::format("node {}: only administrators check nodes", name));
      } else if (found == engine_.state().nodes.end()) {
        done = fail(Errc::kNotFound, fmt::format("node {}: is not known", name));
      } else if (level != "quick" && level != "full") {
        done = fail(Errc::kInvalidArgument, fmt::format("level: {}: is neither quick nor full", level));
      } else if (!found->second.jobs.empty() || found->second.checking) {
        done = fail(Errc::kUnavailable, fmt::format("node {}: is busy (drain it, and wait for its jobs)", name));
      } else {
        engine_.node_checking(name, true);
        checks.emplace_back(reply.nodes_size() - 1, std::make_shared<NodeCheck>());
        leading_->spawn(check_node(name, level, checks.back().second));
      }
    } else {
      done = engine_.control_node(name, request, actor, now_ms());
    }
    if (!done) {
      one.set_error(done.error().message());
      one.set_code(static_cast<std::uint32_t>(done.error().code()));
    }
  }
  kick();
  FF_CO_TRY(co_await stored());
  for (const auto& [index, check] : checks) {
    (void)co_await runtime::with_deadline(call.deadline() - 200ms, "check", wait_for(check->done, check));
    FF_CO_TRY(check_leads());
    ControlNodeReply::One& one = *reply.mutable_nodes(index);
    const auto found = engine_.state().nodes.find(one.node());
    if (!check->done.is_set()) {
      one.set_text("still runs (see `ffctl node show`)");
    } else if (check->error) {
      // Not what an earlier check has found.
      one.set_error(fmt::format("node {}: was not checked: {}", one.node(), check->error->message()));
      one.set_code(static_cast<std::uint32_t>(check->error->code()));
    } else if (found != engine_.state().nodes.end()) {
      one.set_text(found->second.record.last_check());
    }
  }
  co_return reply;
}

Task<Result<SetQuotaReply>> Master::set_quota(rpc::ServerCall& call, const SetQuotaRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  FF_CO_TRY(engine_.set_quota(request.quota(), request.remove(), actor, now_ms()));
  kick();
  FF_CO_TRY(co_await stored());
  co_return SetQuotaReply();
}

Task<Result<ListQuotasReply>> Master::list_quotas(rpc::ServerCall&, const ListQuotasRequest&) {
  FF_CO_TRY(check_leads());
  ListQuotasReply reply;
  for (Quota& quota : engine_.quotas()) *reply.add_quotas() = std::move(quota);
  co_return reply;
}

Task<Result<SetShareReply>> Master::set_share(rpc::ServerCall& call, const SetShareRequest& request) {
  FF_CO_TRY(check_leads());
  FF_CO_TRY_ASSIGN(const Actor actor, actor_of(call, request.caller()));
  FF_CO_TRY(engine_.set_share(request.user(), request.weight(), request.remove(), actor, now_ms()));
  kick();
  FF_CO_TRY(co_await stored());
  co_return SetShareReply();
}

Task<Result<ListSharesReply>> Master::list_shares(rpc::ServerCall&, const ListSharesRequest&) {
  FF_CO_TRY(check_leads());
  ListSharesReply reply;
  for (Share& share : scheduling_.shares(engine_)) *reply.add_shares() = std::move(share);
  co_return reply;
}

Task<Result<ListQueueReply>> Master::list_queue(rpc::ServerCall&, const ListQueueRequest& request) {
  FF_CO_TRY(check_leads());
  co_return scheduling_.queue(engine_, request, kReplyBytesMax);
}

Task<Result<StatusReply>> Master::get_status(rpc::ServerCall&, const StatusRequest&) {
  FF_CO_TRY(check_leads());
  StatusReply reply;
  reply.set_leader(options_.name);
  reply.set_epoch(lease_->epoch());
  reply.set_version(cli::build_version());
  reply.set_started_ms(started_ms_);
  reply.set_store(store_.describe());
  reply.set_journal(engine_.state().header.next_event() - 1);
  reply.set_jobs_done(engine_.state().header.jobs_done());
  reply.set_last_pass_ms(counts_.last_pass_ms);
  reply.set_policy(scheduling_.policy_name());
  for (const auto& [id, entry] : engine_.state().jobs) {
    const JobPhase phase = entry.job().phase();
    if (phase == QUEUED || phase == DEPENDS) reply.set_jobs_queued(reply.jobs_queued() + 1);
    if (phase == HELD || phase == SUSPENDED) reply.set_jobs_held(reply.jobs_held() + 1);
    if (has_attempt(phase)) reply.set_jobs_running(reply.jobs_running() + 1);
  }
  for (const auto& [name, node] : engine_.state().nodes) {
    switch (engine_.node_state(node)) {
      case NodeInfo::READY: reply.set_nodes_ready(reply.nodes_ready() + 1); break;
      case NodeInfo::BUSY: reply.set_nodes_busy(reply.nodes_busy() + 1); break;
      case NodeInfo::LOST: reply.set_nodes_lost(reply.nodes_lost() + 1); break;
      default: reply.set_nodes_drained(reply.nodes_drained() + 1); break;
    }
  }
  co_return reply;
}

}  // namespace ff::ctl
