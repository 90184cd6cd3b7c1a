#include "ffctl/master/scheduling.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "ffctl/job/words.hpp"
#include "ffctl/sched/plan.hpp"

namespace ff::ctl {

namespace {

using sched::Ms;

constexpr std::uint64_t kLookAgainMs = 5000;  // at what changes with time alone: slices, minimum runs, starvation
constexpr std::uint64_t kLeaseMs = 60'000;    // for which nodes are kept for whom their job was preempted
constexpr double kHourMs = 3600.0 * 1000;
constexpr double kHalfLifeMs = 24 * kHourMs;
constexpr std::uint32_t kLabelBits = 64;
constexpr std::size_t kNamesKept = 20'000;
constexpr std::uint32_t kQueueMax = 100'000;  // in one reply
constexpr std::uint64_t kOverdueMs = 60'000;  // that a job which has outrun its estimate is expected to take

std::uint32_t intern(std::map<std::string, std::uint32_t>& names, const std::string& name) {
  return names.try_emplace(name, static_cast<std::uint32_t>(names.size())).first->second;
}

std::uint32_t gpus_of(const NodeFacts& facts) { return std::min(facts.gpus(), sched::kGpusMax); }

// GPU milliseconds for each node millisecond.
double weight(const JobSpec& spec) { return std::max<std::uint32_t>(1, spec.resources().gpus_per_node()); }

bool has_label(const NodeEntry& node, const std::string& label) {
  const auto in = [&](const auto& list) { return std::ranges::find(list, label) != list.end(); };
  return in(node.record.facts().labels()) || in(node.record.labels());
}

std::uint64_t ran_ms(const JobEntry& entry, std::uint64_t now) {
  const std::uint64_t started = entry.live() ? entry.attempt().started_ms() : 0;
  return entry.record.run_ms() + (started == 0 || started > now ? 0 : now - started);
}

std::string when(std::uint64_t at, std::uint64_t now) {
  if (at <= now) return "now";
  const std::uint64_t s = (at - now + 999) / 1000;
  if (s < 120) return fmt::format("in {} s", s);
  if (s < 7200) return fmt::format("in {} min", s / 60);
  return fmt::format("in {} h", s / 3600);
}

}  // namespace

Result<Scheduling> Scheduling::create(const std::string& policy, std::uint64_t min_run_ms) {
  Scheduling out;
  out.policy_name_ = policy;
  if (policy == "slice") {
    out.policy_.kind = sched::Kind::kSlice;
  } else if (policy == "easy") {
    out.policy_.kind = sched::Kind::kEasy;
  } else if (policy == "fifo") {
    out.policy_.kind = sched::Kind::kFifo;
  } else {
    return fail(Errc::kInvalidArgument, fmt::format("policy: {}: is none of slice, easy and fifo", policy));
  }
  out.policy_.min_run = static_cast<Ms>(min_run_ms);
  return out;
}

void Scheduling::begin(const Engine& engine, std::uint64_t now) {
  decided_.clear();
  names_ = Names();
  kept_.clear();
  usage_.clear();
  used_ms_ = now;
  next_pass_ms_ = 0;
  for (const auto& [id, entry] : engine.state().jobs) {
    const std::uint64_t last = entry.job().phase() == DONE ? entry.job().done_ms() : now;
    const double age = last < now ? static_cast<double>(now - last) : 0;
    usage_[entry.job().user()] +=
        static_cast<double>(entry.job().service_ms()) * weight(entry.spec) * std::exp2(-age / kHalfLifeMs);
  }
}

// What ran since the last pass.
void Scheduling::use(const Engine& engine, std::uint64_t now) {
  if (now <= used_ms_) return;
  const auto passed = static_cast<double>(now - used_ms_);
  used_ms_ = now;
  const double left = std::exp2(-passed / kHalfLifeMs);
  for (auto& [user, usage] : usage_) usage *= left;
  for (const std::uint64_t id : engine.live()) {
    const JobEntry& entry = *engine.job(id);
    usage_[entry.job().user()] += passed * entry.attempt().nodes_size() * weight(entry.spec);
  }
}

std::vector<Share> Scheduling::shares(const Engine& engine) const {
  std::map<std::string, Share> by_user;
  for (const auto& [user, weight] : engine.state().shares) {
    by_user[user].set_weight(weight);
    by_user[user].set_set(true);
  }
  for (const auto& [user, usage] : usage_) by_user[user].set_node_hours(usage / kHourMs);
  for (const std::uint64_t id : engine.live()) {
    const JobEntry& entry = *engine.job(id);
    Share& share = by_user[entry.job().user()];
    share.set_nodes(share.nodes() + static_cast<std::uint32_t>(entry.attempt().nodes_size()));
  }
  std::vector<Share> out;
  for (auto& [user, share] : by_user) {
    share.set_user(user);
    if (!share.set()) share.set_weight(1);
    out.push_back(std::move(share));
  }
  return out;
}

// ---- views ----------------------------------------------------------------------------------------------------------

sched::NodeView Scheduling::node_view(const Engine& engine, const NodeEntry& node, Names& names) const {
  const NodeFacts& facts = node.record.facts();
  sched::NodeView view{.gpus = gpus_of(facts), .cpus = facts.cpus(), .memory_bytes = facts.memory_bytes()};
  view.zone = names.zones.of(facts.zone());
  view.leaf = names.leaves.of(facts.zone() + '\0' + facts.leaf());
  view.usable = engine.usable(node);
  for (const auto& [label, bit] : names.labels)
    if (bit < kLabelBits && has_label(node, label)) view.labels |= std::uint64_t{1} << bit;
  return view;
}

sched::Request Scheduling::request(const Engine& engine, const JobSpec& spec, const Names& names) const {
  const Resources& want = spec.resources();
  sched::Request out{.nodes = want.nodes(),
                     .gpus = want.gpus_per_node(),
                     .cpus = want.cpus_per_node(),
                     .memory_bytes = want.memory_bytes()};
  std::vector<std::string> rare;  // beyond the bits that there are
  for (const std::string& label : spec.placement().require()) {
    const std::uint32_t bit = names.labels.at(label);
    if (bit < kLabelBits) {
      out.labels |= std::uint64_t{1} << bit;
    } else {
      rare.push_back(label);
    }
  }
  const auto index = [&](const std::string& name) -> std::optional<sched::NodeIndex> {
    const auto at = std::ranges::lower_bound(names.nodes, name);
    if (at == names.nodes.end() || *at != name) return std::nullopt;
    return static_cast<sched::NodeIndex>(at - names.nodes.begin());
  };
  for (const std::string& name : spec.placement().exclude())
    if (const auto at = index(name)) out.exclude.push_back(*at);
  for (const std::string& name : spec.placement().only())
    if (const auto at = index(name)) out.only.push_back(*at);
  for (sched::NodeIndex i = 0; !rare.empty() && i < names.nodes.size(); ++i)
    if (!std::ranges::all_of(rare,
                             [&](const auto& l) { return has_label(engine.state().nodes.at(names.nodes[i]), l); }))
      out.exclude.push_back(i);
  // Nothing of what it names is there: then nothing will do.
  if (!spec.placement().only().empty() && out.only.empty())
    for (sched::NodeIndex i = 0; i < names.nodes.size(); ++i) out.exclude.push_back(i);
  for (auto* list : {&out.exclude, &out.only}) {
    std::ranges::sort(*list);
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  return out;
}

sched::JobView Scheduling::job_view(const Engine& engine, const JobEntry& entry, std::uint64_t now,
                                    Names& names) const {
  const Job& job = entry.job();
  const JobSpec& spec = entry.spec;
  sched::JobView view{.id = job.id(), .user = names.users.of(job.user()), .queue = names.queues.of(spec.queue())};
  view.tier = static_cast<std::uint32_t>(spec.priority());
  view.request = request(engine, spec, names);
  view.submitted = static_cast<Ms>(job.submitted_ms());
  view.waiting_since = static_cast<Ms>(job.phase_since_ms());
  const std::uint64_t expected = spec.time().estimate_ms() != 0 ? spec.time().estimate_ms() : spec.time().limit_ms();
  const std::uint64_t ran = ran_ms(entry, now);
  if (expected != 0) view.estimate = static_cast<Ms>(expected > ran ? expected - ran : kOverdueMs);
  view.service = static_cast<Ms>(static_cast<double>(job.service_ms()) * weight(spec));
  view.array = spec.array();
  view.array_limit = spec.array_limit();
  if (!entry.live()) return view;
  const Attempt& attempt = entry.attempt();
  view.hold = attempt.phase() <= STARTED ? sched::Hold::kRunning : sched::Hold::kEnding;
  view.service += static_cast<Ms>(static_cast<double>(now - std::min(now, attempt.created_ms())) *
                                  attempt.nodes_size() * weight(spec));
  view.running_since = static_cast<Ms>(attempt.started_ms() != 0 ? attempt.started_ms() : now);
  view.min_run = static_cast<Ms>(spec.preemption().min_run_ms());
  const std::uint32_t budget = spec.preemption().budget();
  view.preemptible = attempt.phase() == STARTED && spec.preemption().mode() != PreemptionSpec::NEVER &&
                     (budget == 0 || Engine::preemptions_today(entry, now) < budget);
  view.switch_cost = static_cast<Ms>(entry.record.switch_ms());
  view.saved = static_cast<Ms>(attempt.saved_ms());
  if (view.hold == sched::Hold::kEnding) view.ending_for = attempt.preempted_for();
  for (int i = 0; i < attempt.nodes_size(); ++i) {
    const auto at = std::ranges::lower_bound(names.nodes, attempt.nodes(i));
    if (at == names.nodes.end() || *at != attempt.nodes(i)) continue;  // forgotten by an administrator
    const NodeShare& share = entry.record.live().shares(i);
    const NodeFacts& facts = engine.state().nodes.at(*at).record.facts();
    sched::Placed& placed = view.held.emplace_back();
    placed.node = static_cast<sched::NodeIndex>(at - names.nodes.begin());
    placed.whole = share.whole();
    placed.cpus = share.whole() ? facts.cpus() : static_cast<std::uint32_t>(share.cpus_size());
    placed.memory_bytes = share.whole() ? facts.memory_bytes() : share.memory_bytes();
    if (share.whole()) {
      const std::uint32_t gpus = gpus_of(facts);
      placed.gpus = gpus == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << gpus) - 1;
    } else {
      for (const std::uint32_t gpu : share.gpus()) placed.gpus |= std::uint64_t{1} << (gpu % sched::kGpusMax);
    }
  }
  return view;
}

void Scheduling::add_quotas(const Engine& engine, const Names& names, sched::Snapshot& snapshot) const {
  const auto& quotas = engine.state().quotas;
  for (const auto& [key, quota] : quotas) {
    sched::QuotaView view{.tier = static_cast<std::uint32_t>(key.priority), .nodes = quota.nodes()};
    if (key.queue != "*") {
      const std::uint32_t* const queue = names.queues.find(key.queue);
      if (queue == nullptr) continue;
      view.queue = *queue;
    }
    for (std::uint32_t number = 0; number < names.users.names().size(); ++number) {
      const std::string& user = *names.users.names()[number];
      if (key.user != "*" && key.user != user) continue;
      // One of his own takes the place of everybody's.
      if (key.user == "*" && quotas.contains({user, key.queue, key.priority})) continue;
      view.user = number;
      snapshot.quotas.push_back(view);
    }
  }
}

// What a preempted job has left goes to whom it left it for, if he has waited since before.
void Scheduling::add_lease(const Engine& engine, const JobEntry& entry, std::uint64_t now, const Names& names,
                           sched::Snapshot& snapshot) const {
  if (entry.job().attempts().empty()) return;
  const Attempt& last = *entry.job().attempts().rbegin();
  if (last.preempted_for() == 0 || last.phase() != CLOSED || last.closed_ms() + kLeaseMs < now) return;
  const JobEntry* const other = engine.job(last.preempted_for());
  if (other == nullptr || other->job().phase() != QUEUED || other->job().phase_since_ms() > last.closed_ms()) return;
  for (const std::string& node : last.nodes()) {
    const auto at = std::ranges::lower_bound(names.nodes, node);
    if (at != names.nodes.end() && *at == node)
      snapshot.nodes[static_cast<std::size_t>(at - names.nodes.begin())].kept_for = last.preempted_for();
  }
}

sched::Snapshot Scheduling::snapshot(const Engine& engine, std::uint64_t now, Names& names,
                                     std::vector<Kept>* kept) const {
  sched::Snapshot out;
  out.now = static_cast<Ms>(now);
  const State& state = engine.state();
  struct Entry {
    const JobEntry* job;
    Kept* known;  // its view of before, which is still true
  };
  std::vector<Entry> entries;
  entries.reserve(engine.queued().size() + engine.live().size());
  for (const std::uint64_t id : engine.live()) entries.push_back({engine.job(id), nullptr});
  std::size_t before = 0;
  for (const std::uint64_t id : engine.queued()) {
    const JobEntry* const entry = engine.job(id);
    Kept* known = nullptr;
    if (kept != nullptr) {
      while (before < kept->size() && (*kept)[before].job < id) ++before;
      if (before < kept->size() && (*kept)[before].job == id && (*kept)[before].version == entry->version)
        known = &(*kept)[before];
    }
    entries.push_back({entry, known});
  }
  for (const Entry& entry : entries)
    if (entry.known == nullptr)
      for (const std::string& label : entry.job->spec.placement().require()) intern(names.labels, label);
  for (const auto& [name, node] : state.nodes) {
    names.nodes.push_back(name);
    out.nodes.push_back(node_view(engine, node, names));
  }
  for (const Entry& entry : entries)
    if (entry.known == nullptr || entry.known->waited_for) add_lease(engine, *entry.job, now, names, out);
  const auto usable = static_cast<std::size_t>(
      std::ranges::count_if(out.nodes, [](const sched::NodeView& node) { return node.usable; }));
  out.jobs.reserve(entries.size());
  std::vector<Kept> next;
  if (kept != nullptr) next.reserve(engine.queued().size());
  for (const Entry& entry : entries) {
    if (entry.known != nullptr) {
      out.jobs.push_back(entry.known->view);
      next.push_back(std::move(*entry.known));
      continue;
    }
    sched::JobView& view = out.jobs.emplace_back(job_view(engine, *entry.job, now, names));
    if (view.hold != sched::Hold::kQueued) continue;
    const auto& avoid = entry.job->record.avoid();
    const Placement& place = entry.job->spec.placement();
    if (kept != nullptr && avoid.empty() && place.require().empty() && place.exclude().empty() && place.only().empty())
      next.push_back({.job = view.id,
                      .version = entry.job->version,
                      .waited_for = !entry.job->job().attempts().empty(),
                      .view = view});
    if (avoid.empty()) continue;
    // Where it failed it goes only if nothing else is left.
    std::vector<sched::NodeIndex> others = view.request.exclude;
    for (const std::string& name : avoid)
      if (const auto at = std::ranges::lower_bound(names.nodes, name); at != names.nodes.end() && *at == name)
        others.push_back(static_cast<sched::NodeIndex>(at - names.nodes.begin()));
    std::ranges::sort(others);
    others.erase(std::unique(others.begin(), others.end()), others.end());
    if (usable >= others.size() + view.request.nodes && view.request.only.empty())
      view.request.exclude = std::move(others);
  }
  if (kept != nullptr) *kept = std::move(next);
  // A node that came back with less than its jobs hold has nothing to give.
  std::vector<sched::NodeView> held(out.nodes.size());
  for (const sched::JobView& job : out.jobs)
    for (const sched::Placed& placed : job.held) {
      sched::NodeView& sum = held[placed.node];
      sum.gpus = std::max(sum.gpus, static_cast<std::uint32_t>(std::bit_width(placed.gpus)));
      sum.cpus += placed.cpus;
      sum.memory_bytes += placed.memory_bytes;
    }
  for (std::size_t i = 0; i < held.size(); ++i) {
    sched::NodeView& node = out.nodes[i];
    if (held[i].gpus <= node.gpus && held[i].cpus <= node.cpus && held[i].memory_bytes <= node.memory_bytes) continue;
    node.usable = false;
    node.gpus = std::max(node.gpus, held[i].gpus);
    node.cpus = std::max(node.cpus, held[i].cpus);
    node.memory_bytes = std::max(node.memory_bytes, held[i].memory_bytes);
  }
  out.users.resize(names.users.names().size());
  for (std::size_t i = 0; i < out.users.size(); ++i) {
    const std::string& user = *names.users.names()[i];
    if (const auto used = usage_.find(user); used != usage_.end()) out.users[i].usage = used->second;
    if (const auto share = state.shares.find(user); share != state.shares.end()) out.users[i].share = share->second;
  }
  add_quotas(engine, names, out);
  return out;
}

// ---- a pass ---------------------------------------------------------------------------------------------------------

namespace {

// Device and CPU numbers for a placement.
NodeShare share_of(const Engine& engine, const std::string& node, const sched::Placed& placed) {
  NodeShare share;
  share.set_whole(placed.whole);
  for (std::uint32_t gpu = 0; gpu < sched::kGpusMax; ++gpu)
    if ((placed.gpus >> gpu & 1) != 0) share.add_gpus(gpu);
  if (placed.whole) return share;
  share.set_memory_bytes(placed.memory_bytes);
  const NodeEntry& entry = engine.state().nodes.at(node);
  std::set<std::uint32_t> used;
  for (const std::uint64_t id : entry.jobs) {
    const JobEntry& other = *engine.job(id);
    for (int i = 0; i < other.attempt().nodes_size(); ++i)
      if (other.attempt().nodes(i) == node)
        used.insert(other.record.live().shares(i).cpus().begin(), other.record.live().shares(i).cpus().end());
  }
  for (std::uint32_t cpu = 0; cpu < entry.record.facts().cpus(); ++cpu) {
    if (static_cast<std::uint32_t>(share.cpus_size()) >= placed.cpus) break;
    if (!used.contains(cpu)) share.add_cpus(cpu);
  }
  return share;
}

}  // namespace

bool Scheduling::kept_views_hold(const Engine& engine, std::uint64_t now) const {
  return std::ranges::all_of(kept_, [&](const Kept& one) {
    const JobEntry* const entry = engine.job(one.job);
    if (entry == nullptr || entry->job().phase() != QUEUED || entry->version != one.version) return true;  // not used
    Names names = names_;
    return job_view(engine, *entry, now, names) == one.view;
  });
}

// Those of nodes are others at every pass. Names of users and queues that are no more go when there are many.
void Scheduling::keep_names() {
  if (names_.users.names().size() + names_.queues.names().size() > kNamesKept) {
    names_ = Names();
    kept_.clear();
  }
  names_.nodes.clear();
  names_.zones = names_.leaves = Numbers();
  names_.labels.clear();
}

Scheduling::Pass Scheduling::pass(Engine& engine, std::uint64_t now) {
  Pass out;
  use(engine, now);
  next_pass_ms_ = 0;
  decided_ms_ = now;
  decided_.clear();
  if (engine.queued().empty()) return out;
  keep_names();
  Names& names = names_;
  const sched::Snapshot view = snapshot(engine, now, names, &kept_);
  const sched::Plan plan = sched::plan(view, policy_);
  for (const sched::Verdict& verdict : plan.verdicts) decided_.push_back({view.jobs[verdict.job].id, verdict});
  for (const sched::Start& start : plan.starts) {
    Start order{.job = view.jobs[start.job].id};
    for (const sched::Placed& placed : start.nodes) {
      order.nodes.push_back(names.nodes[placed.node]);
      order.shares.push_back(share_of(engine, order.nodes.back(), placed));
    }
    if (engine.start(order, now)) ++out.started;
  }
  for (const sched::Preempt& preempt : plan.preempts) {
    const std::uint64_t by = view.jobs[preempt.by].id;
    if (engine.preempt(view.jobs[preempt.victim].id, by, fmt::format("makes room for job {}", by), now))
      ++out.preempted;
  }
  if (!engine.queued().empty()) next_pass_ms_ = now + kLookAgainMs;
  return out;
}

// ---- in words -------------------------------------------------------------------------------------------------------

namespace {

ExplainReply::Blocker blocker(const sched::Verdict& verdict, const JobEntry& entry) {
  ExplainReply::Blocker out;
  const auto say = [&](const char* what, std::string text, const char* remedy) {
    out.set_what(what);
    out.set_text(std::move(text));
    out.set_remedy(remedy);
  };
  const std::uint32_t nodes = entry.spec.resources().nodes();
  switch (verdict.reason) {
    case sched::Reason::kStarts: say("launch", "it is being started", ""); break;
    case sched::Reason::kNever:
      say("nodes", fmt::format("it asks for {} nodes, and {} of this cluster would do", nodes, verdict.nodes_matching),
          "ask for fewer or smaller nodes, or for other labels");
      break;
    case sched::Reason::kNoNodes:
      say("nodes",
          fmt::format("it asks for {} nodes; of those that would do {} can be used now", nodes, verdict.nodes_matching),
          "nodes that are lost or drained must come back (ffctl node ls)");
      break;
    case sched::Reason::kQuota:
      say("quota", "its quota is used up",
          "wait for other jobs of the user, lower the priority, or ask for a larger quota");
      break;
    case sched::Reason::kArray: say("array", "its array runs as many jobs as it may", "raise the array's limit"); break;
    case sched::Reason::kBusy:
      say("nodes", "the nodes are taken by jobs that it may not preempt (yet)", "raise its priority, or ask for less");
      break;
    case sched::Reason::kReserved:
      say("priority", "it would delay a job that goes first",
          "give it a time limit that is shorter, or raise its priority");
      break;
    case sched::Reason::kPreempting: say("nodes", "others are leaving their nodes for it", ""); break;
    case sched::Reason::kOrder:
      say("priority", "a job before it waits, and the order is strict", "raise its priority");
      break;
  }
  return out;
}

StartEstimate estimate_of(const sched::Verdict& verdict, std::uint64_t now) {
  StartEstimate out;
  out.set_now(verdict.reason == sched::Reason::kStarts);
  if (out.now()) {
    out.set_at_ms(now);
    out.set_text("now");
  } else if (verdict.start > 0) {
    out.set_at_ms(static_cast<std::uint64_t>(verdict.start));
    out.set_text(when(out.at_ms(), now));
  } else {
    out.set_text("unknown");
  }
  return out;
}

}  // namespace

ExplainReply Scheduling::explain(const Engine& engine, const JobEntry& entry, std::uint64_t now) const {
  ExplainReply reply;
  const Job& job = entry.job();
  reply.set_decided_ms(job.phase_since_ms());
  const auto block = [&](const char* what, std::string text, const char* remedy) {
    ExplainReply::Blocker& one = *reply.add_blockers();
    one.set_what(what);
    one.set_text(std::move(text));
    one.set_remedy(remedy);
  };
  switch (job.phase()) {
    case HELD: block("held", job.reason(), "ffctl release"); break;
    case SUSPENDED: block("suspended", job.reason(), "ffctl resume"); break;
    case DEPENDS:
      for (const Dependency& one : entry.spec.depends())
        if (const JobEntry* const on = engine.job(one.job()); on != nullptr && on->job().phase() != DONE)
          block("depends", fmt::format("job {} is {}", one.job(), phase_text(on->job().phase())), "wait for that job");
      if (const std::uint64_t at = std::max(entry.spec.time().begin_ms(), entry.record.not_before_ms()); at > now)
        block("time", fmt::format("starts {} at the earliest", when(at, now)), "");
      break;
    case QUEUED: {
      const auto found = std::ranges::find(decided_, job.id(), &Decided::job);
      if (found == decided_.end()) break;
      reply.set_decided_ms(decided_ms_);
      reply.set_position(found->verdict.position);
      *reply.mutable_estimate() = estimate_of(found->verdict, decided_ms_);
      *reply.add_blockers() = blocker(found->verdict, entry);
      break;
    }
    default: break;
  }
  const std::string phase = phase_text(job.phase());
  const std::string why = reply.blockers().empty() ? job.reason() : reply.blockers(0).text();
  reply.set_summary(why.empty() ? phase : fmt::format("{}: {}", phase, why));
  return reply;
}

ListQueueReply Scheduling::queue(const Engine& engine, const ListQueueRequest& request, std::size_t bytes_max) const {
  ListQueueReply reply;
  reply.set_decided_ms(decided_ms_);
  const std::uint32_t limit = request.limit() == 0 ? kQueueMax : std::min(request.limit(), kQueueMax);
  std::uint32_t passed_over = 0;
  std::size_t bytes = 0;
  // `verdict`: none where no pass has seen it.
  const auto add = [&](const JobEntry& entry, const sched::Verdict* verdict) {
    const Job& job = entry.job();
    const JobSpec& spec = entry.spec;
    if (!request.user().empty() && request.user() != job.user()) return;
    if (!request.queue().empty() && request.queue() != spec.queue()) return;
    if (passed_over < request.skip()) {
      ++passed_over;
      return;
    }
    if (static_cast<std::uint32_t>(reply.jobs_size()) >= limit || bytes >= bytes_max) {
      reply.set_more(true);
      return;
    }
    QueuedJob& one = *reply.add_jobs();
    one.set_job(job.id());
    one.set_name(spec.name());
    one.set_user(job.user());
    one.set_queue(spec.queue());
    one.set_priority(spec.priority());
    one.set_nodes(spec.resources().nodes());
    one.set_gpus_per_node(spec.resources().gpus_per_node());
    one.set_since_ms(job.phase_since_ms());
    one.set_preemptions(job.preemptions());
    if (verdict == nullptr) {
      one.set_what("new");
    } else {
      const ExplainReply::Blocker why = blocker(*verdict, entry);
      one.set_position(verdict->position);
      one.set_what(why.what());
      one.set_text(why.text());
      one.set_start_ms(estimate_of(*verdict, decided_ms_).at_ms());
    }
    bytes += one.ByteSizeLong();
  };
  std::unordered_set<std::uint64_t> seen;
  for (const Decided& one : decided_) {
    if (reply.more()) return reply;
    const JobEntry* const entry = engine.job(one.job);
    if (entry == nullptr || entry->job().phase() != QUEUED) continue;
    seen.insert(one.job);
    add(*entry, &one.verdict);
  }
  for (const std::uint64_t id : engine.queued()) {
    if (reply.more()) break;
    if (!seen.contains(id)) add(*engine.job(id), nullptr);
  }
  return reply;
}

std::vector<StartEstimate> Scheduling::estimate(const Engine& engine, const SubmitRequest& request, const Actor& actor,
                                                std::uint64_t now) const {
  Names names;
  for (const JobSpec& spec : request.jobs())
    for (const std::string& label : spec.placement().require()) intern(names.labels, label);
  names.users.of(actor.user);
  for (const JobSpec& spec : request.jobs()) names.queues.of(spec.queue());
  sched::Snapshot view = snapshot(engine, now, names, nullptr);
  const std::size_t first = view.jobs.size();
  std::uint64_t id = engine.state().header.next_job();
  for (const JobSpec& spec : request.jobs()) {
    JobEntry entry;
    entry.spec = spec;
    entry.job().set_id(id++);
    entry.job().set_user(actor.user);
    entry.job().set_submitted_ms(now);
    entry.job().set_phase_since_ms(now);
    view.jobs.push_back(job_view(engine, entry, now, names));
  }
  const sched::Plan plan = sched::plan(view, policy_);
  std::vector<StartEstimate> out(static_cast<std::size_t>(request.jobs_size()));
  for (StartEstimate& one : out) one.set_text("unknown");
  for (const sched::Verdict& verdict : plan.verdicts) {
    if (verdict.job < first) continue;
    StartEstimate& one = out[verdict.job - first];
    one = estimate_of(verdict, now);
    JobEntry entry;
    entry.spec = request.jobs(static_cast<int>(verdict.job - first));
    if (!one.now()) one.set_text(fmt::format("{}: {}", one.text(), blocker(verdict, entry).text()));
  }
  for (const sched::Preempt& preempt : plan.preempts)
    if (preempt.by >= first) out[preempt.by - first].add_would_preempt(view.jobs[preempt.victim].id);
  return out;
}

}  // namespace ff::ctl
