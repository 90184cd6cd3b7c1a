// What people ask for: submissions, control of jobs, quotas.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <span>

#include "ffctl/job/check.hpp"
#include "ffctl/job/words.hpp"
#include "ffctl/master/engine.hpp"
#include "ffctl/master/sentence.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::ctl {

namespace {

constexpr int kJobsMax = 100'000;  // of one submission
constexpr std::size_t kOpenMax = 1'000'000;
constexpr std::size_t kQuotasMax = 10'000;
constexpr double kShareMin = 0.01;
constexpr double kShareMax = 1000;

// Why no state of these nodes would let the job run, whatever they do now. None without nodes: they may be coming.
std::optional<std::string> impossible(std::span<const NodeRecord* const> nodes, const JobSpec& spec) {
  const Resources& want = spec.resources();
  const Placement& place = spec.placement();
  if (nodes.empty()) return std::nullopt;
  if (want.nodes() > nodes.size())
    return fmt::format("resources.nodes: {} are asked for, the cluster has {}", want.nodes(), nodes.size());
  const auto has = [](const auto& list, const std::string& one) { return std::ranges::find(list, one) != list.end(); };
  const auto labelled = [&](const NodeRecord& node, const std::string& label) {
    return has(node.facts().labels(), label) || has(node.labels(), label);
  };
  for (const std::string& label : place.require())
    if (std::ranges::none_of(nodes, [&](const NodeRecord* node) { return labelled(*node, label); }))
      return fmt::format("placement.require: no node has the label '{}'", label);
  for (const std::string& name : place.only())
    if (std::ranges::none_of(nodes, [&](const NodeRecord* node) { return node->facts().name() == name; }))
      return fmt::format("placement.only: there is no node '{}'", name);
  // What the largest node has; 0 of memory: it is not known.
  std::uint32_t gpus = 0, cpus = 0, fitting = 0;
  std::uint64_t memory = 0;
  for (const NodeRecord* node : nodes) {
    const NodeFacts& facts = node->facts();
    const std::uint64_t bytes = facts.memory_bytes() == 0 ? ~std::uint64_t{0} : facts.memory_bytes();
    gpus = std::max(gpus, facts.gpus());
    cpus = std::max(cpus, facts.cpus());
    memory = std::max(memory, bytes);
    const bool allowed =
        !has(place.exclude(), facts.name()) && (place.only().empty() || has(place.only(), facts.name()));
    const bool enough =
        facts.gpus() >= want.gpus_per_node() && facts.cpus() >= want.cpus_per_node() && bytes >= want.memory_bytes();
    if (allowed && enough &&
        std::ranges::all_of(place.require(), [&](const auto& label) { return labelled(*node, label); }))
      ++fitting;
  }
  if (want.gpus_per_node() > gpus)
    return fmt::format("resources.gpus_per_node: {} are asked for, no node has more than {}", want.gpus_per_node(),
                       gpus);
  if (want.cpus_per_node() > cpus)
    return fmt::format("resources.cpus_per_node: {} are asked for, no node has more than {}", want.cpus_per_node(),
                       cpus);
  if (want.memory_bytes() > memory)
    return fmt::format("resources.memory: {} are asked for, no node has more than {}",
                       format_byte_size(want.memory_bytes()), format_byte_size(memory));
  if (fitting < want.nodes())
    return fmt::format("resources.nodes: {} of {} nodes have all that this job asks for, it needs {}", fitting,
                       nodes.size(), want.nodes());
  return std::nullopt;
}

}  // namespace

Result<> Engine::check_owner(const JobEntry& entry, const Actor& actor) {
  if (actor.admin || actor.uid == entry.job().uid()) return {};
  return fail(Errc::kPermission, fmt::format("job {}: belongs to {}", entry.job().id(), entry.job().user()));
}

Result<> Engine::check_description(const JobSpec& spec) const {
  if (const auto fault = check_spec(spec))
    return fail(Errc::kInvalidArgument, fmt::format("{}: {}", fault->key, fault->what));
  if (spec.time().begin_ms() > now_ + kTenYearsMs)
    return fail(Errc::kInvalidArgument, "time.begin: is more than ten years away");
  for (const Dependency& one : spec.depends())
    if (job(one.job()) == nullptr)
      return fail(Errc::kNotFound, fmt::format("depends: job {}: is not known", one.job()));
  return {};
}

// What no state of this cluster would allow is said now.
Result<> Engine::check_possible(const JobSpec& spec, const Actor& actor) const {
  std::vector<const NodeRecord*> nodes;
  for (const auto& [name, node] : state_.nodes) nodes.push_back(&node.record);
  if (const auto why = impossible(nodes, spec)) return fail(Errc::kUnsupported, *why + " (see `ffctl node ls`)");
  for (const auto& [key, quota] : state_.quotas) {
    const bool own = key.user == actor.user || key.user == "*";
    const bool queue = key.queue == "*" || key.queue == spec.queue();
    if (key.user == "*" && std::ranges::any_of(state_.quotas, [&](const auto& one) {
          return one.first.user == actor.user && one.first.queue == key.queue && one.first.priority == key.priority;
        }))
      continue;
    if (!own || !queue || spec.priority() < key.priority || spec.resources().nodes() <= quota.nodes()) continue;
    return fail(Errc::kExhausted, fmt::format("resources.nodes: {} is more than the quota of {} nodes (ask an "
                                              "administrator, or choose a lower priority)",
                                              spec.resources().nodes(), quota.nodes()));
  }
  return {};
}

Result<> Engine::check_submit(const SubmitRequest& request, const Actor& actor) const {
  if (request.jobs().empty()) return fail(Errc::kInvalidArgument, "submit: without a job");
  if (request.jobs_size() > kJobsMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("submit: {} jobs are more than {} at once", request.jobs_size(), kJobsMax));
  if (!request.request_key().empty() && request.request_key().size() != 16)
    return fail(Errc::kInvalidArgument, "submit: the request's key is not of 16 bytes");
  if (actor.user.empty() || actor.user.size() > 255)
    return fail(Errc::kInvalidArgument, "submit: without a user's name");
  if (state_.jobs.size() + static_cast<std::size_t>(request.jobs_size()) > kOpenMax)
    return fail(Errc::kExhausted, fmt::format("submit: there are {} jobs already", state_.jobs.size()));
  const JobSpec* last = nullptr;
  for (const JobSpec& spec : request.jobs()) {
    FF_TRY(check_description(spec));
    // Arrays and sweeps ask for the same again and again.
    const bool same = last != nullptr &&
                      last->resources().SerializeAsString() == spec.resources().SerializeAsString() &&
                      last->placement().SerializeAsString() == spec.placement().SerializeAsString() &&
                      last->priority() == spec.priority() && last->queue() == spec.queue();
    if (!same) FF_TRY(check_possible(spec, actor));
    last = &spec;
  }
  return {};
}

Result<std::vector<std::uint64_t>> Engine::submit(const SubmitRequest& request, const Actor& actor, std::uint64_t now) {
  now_ = std::max(now_, now);
  if (const auto found = requests_.find(request.request_key());
      !request.request_key().empty() && found != requests_.end()) {
    if (entry(found->second.front()).job().uid() != actor.uid)
      return fail(Errc::kAlreadyExists, "submit: another user has used this request's key");
    return found->second;
  }
  FF_TRY(check_submit(request, actor));
  std::vector<std::uint64_t> ids;
  const std::uint64_t first = state_.header.next_job();
  for (const JobSpec& spec : request.jobs()) {
    const std::uint64_t id = state_.header.next_job();
    state_.header.set_next_job(id + 1);
    ids.push_back(id);
    JobEntry& entry = state_.jobs[id];
    Job& job = entry.job();
    job.set_id(id);
    entry.spec = spec;
    entry.heavy = split_heavy(*entry.spec.mutable_run());
    if (spec.array() != 0) entry.spec.set_array(first);
    job.set_user(actor.user);
    job.set_uid(actor.uid);
    job.set_gid(actor.gid);
    job.set_submitted_ms(now_);
    job.set_phase_since_ms(now_);
    job.set_phase(spec.hold() ? HELD : DEPENDS);
    job.set_reason(spec.hold() ? "held until it is released" : "");
    entry.record.set_request_key(request.request_key());
    index(entry);
    touch(entry);
    touched_specs_.insert(id);
    event("submitted", &entry, "", actor.user, spec.name());
  }
  if (!request.request_key().empty()) requests_[request.request_key()] = ids;
  for (const std::uint64_t id : ids)
    if (JobEntry& one = entry(id); one.job().phase() == DEPENDS) evaluate_waiting(one);
  plan_needed_ = true;
  flush();
  return ids;
}

Result<> Engine::hold_or_stop(JobEntry& entry, const ControlOrder& order, const Actor& actor) {
  const std::string because = order.reason.empty() ? "" : ": " + order.reason;
  const JobPhase phase = entry.job().phase();
  const auto wrong_phase = [&](const char* what) {
    return fail(Errc::kInvalidArgument,
                fmt::format("job {}: is {}, and cannot be {}", entry.job().id(), phase_text(phase), what));
  };
  const std::uint64_t own_grace = entry.spec.preemption().grace_ms();
  const std::uint64_t grace = order.grace_ms != 0 ? std::min(order.grace_ms, kTenYearsMs) : own_grace;
  const bool open = entry.live() && entry.attempt().phase() <= STARTED;
  switch (order.verb) {
    case ControlRequest::STOP: {
      if (phase == DONE) return {};  // that is what was asked for
      const std::string reason = fmt::format("stopped by {}{}", actor.user, because);
      if (!entry.live()) {
        entry.record.set_stop_ordered(true);
        finish(entry, STOPPED, kStoppedCode, JobHappening::kStopped, reason, actor.user);
        return {};
      }
      const bool again = entry.record.stop_ordered();
      entry.record.set_stop_ordered(true);
      touch(entry);
      const std::uint64_t patience = order.grace_ms != 0 ? grace : std::max(own_grace, options_.settle_ms);
      if (open) {
        drain(entry, STOP_ORDER, order.force ? DesiredAttempt::KILL : DesiredAttempt::STOP, order.force ? 0 : patience,
              0, reason, actor.user);
      } else {
        if (!again) event("ending", &entry, "", actor.user, reason);
        entry.attempt().set_reason(reason);
        step(entry, JobHappening::kEnds, reason);
        if (entry.attempt().phase() == DRAINING && entry.record.live().want() != DesiredAttempt::KILL) {
          const bool suspending = entry.record.live().want() == DesiredAttempt::SUSPEND;
          if (order.force) {
            set_want(entry, DesiredAttempt::KILL, 0);
          } else if (suspending) {
            set_want(entry, DesiredAttempt::STOP, patience);
          }
        } else if (entry.attempt().phase() == CLEANING) {
          entry.attempt().set_cause(EndCause::STOP_ORDER);
        }
      }
      evaluate_attempt(entry);
      return {};
    }
    case ControlRequest::SUSPEND:
      if (phase == SUSPENDED) return {};
      if (!entry.live()) {
        if (!step(entry, JobHappening::kSuspended, fmt::format("suspended by {}{}", actor.user, because)))
          return wrong_phase("suspended");
        set_timer(entry, 0);
        event("suspended", &entry, "", actor.user, order.reason);
        return {};
      }
      if (entry.record.stop_ordered()) return wrong_phase("suspended: it was told to stop");
      if (!open) {
        // On its way to the queue: it stays out of it instead.
        if (entry.attempt().phase() != DRAINING || entry.record.live().told() != PREEMPTED)
          return wrong_phase("suspended");
        entry.record.mutable_live()->set_told(SUSPEND_ORDER);
        touch(entry);
        event("ending", &entry, "", actor.user, fmt::format("suspended by {}{}", actor.user, because));
        return {};
      }
      suspend(entry, SUSPEND_ORDER, grace, fmt::format("suspended by {}{}", actor.user, because), actor.user);
      evaluate_attempt(entry);
      return {};
    case ControlRequest::RESUME:
      if (phase == SUSPENDING && entry.live() && entry.attempt().phase() == DRAINING &&
          entry.record.live().told() == SUSPEND_ORDER) {
        // It goes on as soon as it has ended.
        entry.record.mutable_live()->set_told(PREEMPTED);
        touch(entry);
        event("resumed", &entry, "", actor.user, order.reason);
        return {};
      }
      if (!step(entry, JobHappening::kResumed, "")) return wrong_phase("resumed");
      event("resumed", &entry, "", actor.user, order.reason);
      evaluate_waiting(entry);
      return {};
    case ControlRequest::REQUEUE:
      if (phase == SUSPENDED) {
        step(entry, JobHappening::kResumed, "");
        event("resumed", &entry, "", actor.user, order.reason);
        evaluate_waiting(entry);
        return {};
      }
      if (!open) return wrong_phase("queued again");
      suspend(entry, PREEMPTED, grace, fmt::format("queued again by {}{}", actor.user, because), actor.user);
      evaluate_attempt(entry);
      return {};
    case ControlRequest::HOLD:
      if (phase == HELD) return {};
      if (!step(entry, JobHappening::kHeld, fmt::format("held by {}{}", actor.user, because)))
        return wrong_phase("held");
      set_timer(entry, 0);
      event("held", &entry, "", actor.user, order.reason);
      return {};
    case ControlRequest::RELEASE:
      if (!step(entry, JobHappening::kReleased, "")) return wrong_phase("released");
      event("released", &entry, "", actor.user, order.reason);
      evaluate_waiting(entry);
      return {};
    default: return fail(Errc::kInvalidArgument, "control: no such verb");
  }
}

Result<> Engine::control(std::uint64_t id, const ControlOrder& order, const Actor& actor, std::uint64_t now) {
  now_ = std::max(now_, now);
  const auto found = state_.jobs.find(id);
  if (found == state_.jobs.end()) return fail(Errc::kNotFound, fmt::format("job {}: is not known", id));
  JobEntry& entry = found->second;
  FF_TRY(check_owner(entry, actor));
  Result<> done;
  if (order.verb == ControlRequest::SET_PRIORITY) {
    if (order.priority < IDLE || order.priority > EXTREME)
      return fail(Errc::kInvalidArgument, "priority: is none of the known ones");
    if (entry.job().phase() == DONE) return fail(Errc::kInvalidArgument, fmt::format("job {}: is done", id));
    entry.spec.set_priority(order.priority);
    touched_specs_.insert(id);
    touch(entry);
    event("priority", &entry, "", actor.user, priority_text(order.priority));
    plan_needed_ = true;
  } else {
    ControlOrder bounded = order;
    bounded.reason = sentence(order.reason);
    done = hold_or_stop(entry, bounded, actor);
  }
  flush();
  return done;
}

Result<> Engine::set_quota(const Quota& quota, bool remove, const Actor& actor, std::uint64_t now) {
  now_ = std::max(now_, now);
  if (!actor.admin) return fail(Errc::kPermission, "quota: only administrators change quotas");
  const auto name = [](const std::string& text) { return text == "*" || plain_name(text); };
  if (!name(quota.user()) || !name(quota.queue()))
    return fail(Errc::kInvalidArgument, "quota: user and queue are a name or * (give both)");
  if (quota.priority() < PRIORITY_NONE || quota.priority() > EXTREME)
    return fail(Errc::kInvalidArgument, "quota: the priority is none of the known ones");
  const QuotaKey key{quota.user(), quota.queue(), static_cast<int>(quota.priority())};
  if (remove) {
    if (state_.quotas.erase(key) == 0)
      return fail(Errc::kNotFound, "quota: there is none of this user, queue and priority");
    writes_.push_back({quota_key(key), std::nullopt});
  } else {
    if (!state_.quotas.contains(key) && state_.quotas.size() >= kQuotasMax)
      return fail(Errc::kExhausted, fmt::format("quota: there are {} already", kQuotasMax));
    Quota stored = quota;
    stored.clear_used();
    state_.quotas[key] = stored;
    writes_.push_back({quota_key(key), encode(stored)});
  }
  event("quota", nullptr, "", actor.user,
        fmt::format("{} {} {}: {}", quota.user(), quota.queue(),
                    quota.priority() == PRIORITY_NONE ? "all" : priority_text(quota.priority()),
                    remove ? "none" : std::to_string(quota.nodes())));
  plan_needed_ = true;
  flush();
  return {};
}

Result<> Engine::set_share(const std::string& user, double weight, bool remove, const Actor& actor, std::uint64_t now) {
  now_ = std::max(now_, now);
  if (!actor.admin) return fail(Errc::kPermission, "share: only administrators change shares");
  if (!plain_name(user)) return fail(Errc::kInvalidArgument, "share: the user is not [A-Za-z0-9._-]{1,255}");
  if (remove) {
    if (state_.shares.erase(user) == 0)
      return fail(Errc::kNotFound, fmt::format("share: user {} has none of his own", user));
    writes_.push_back({share_key(user), std::nullopt});
  } else {
    if (!(weight >= kShareMin && weight <= kShareMax))
      return fail(Errc::kInvalidArgument,
                  fmt::format("share: {} is not between {} and {} (1: as everybody)", weight, kShareMin, kShareMax));
    if (!state_.shares.contains(user) && state_.shares.size() >= kQuotasMax)
      return fail(Errc::kExhausted, fmt::format("share: there are {} already", kQuotasMax));
    state_.shares[user] = weight;
    writes_.push_back({share_key(user), encode(share_record(user, weight))});
  }
  event("share", nullptr, "", actor.user, fmt::format("{}: {}", user, remove ? "none" : fmt::format("{}", weight)));
  plan_needed_ = true;
  flush();
  return {};
}

std::vector<Quota> Engine::quotas() const {
  std::vector<Quota> out;
  for (const auto& [key, quota] : state_.quotas) {
    Quota& one = out.emplace_back(quota);
    std::uint32_t used = 0;
    for (const std::uint64_t id : live_) {
      const JobEntry& entry = state_.jobs.at(id);
      if ((key.user == "*" || key.user == entry.job().user()) &&
          (key.queue == "*" || key.queue == entry.spec.queue()) && entry.spec.priority() >= key.priority)
        used += static_cast<std::uint32_t>(entry.attempt().nodes_size());
    }
    one.set_used(used);
  }
  return out;
}

}  // namespace ff::ctl
