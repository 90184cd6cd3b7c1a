#include "ffctl/sched/plan.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>

#include "ffctl/sched/pool.hpp"

namespace ff::ctl::sched {
namespace {

constexpr Ms kEndingSoon = 60'000;         // until a job that is leaving has left, where nobody knows better
constexpr Ms kSwitchCost = 120'000;        // of a job that was never suspended
constexpr std::size_t kPruneVictims = 32;  // larger sets are not searched for members that are not needed
constexpr double kShareSlack = 1.1;        // a user is above his share from here on: no flapping around it

// Jobs of equal rank do not preempt each other.
struct Rank {
  std::uint32_t tier = 0;
  std::uint32_t level = 0;  // 0: starves; else 1 + level_of()
  bool above(const Rank& other) const noexcept { return tier != other.tier ? tier > other.tier : level < other.level; }
  auto key() const noexcept { return std::tuple(tier, ~level); }
};

// Requests that are alike where placement is concerned; only and exclude are never alike.
using Shape = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint64_t, std::uint64_t>;
Shape shape_of(const Request& r) { return {r.nodes, r.gpus, r.cpus, r.memory_bytes, r.labels}; }
bool common(const Request& r) { return r.only.empty() && r.exclude.empty(); }

class Planner {
 public:
  Planner(const Snapshot& snapshot, const Policy& policy)
      : s_(snapshot),
        policy_(policy),
        slice_(policy.kind == Kind::kSlice),
        pool_(snapshot.nodes),
        ranks_(snapshot.jobs.size()) {}

  Plan run() {
    look_at_jobs();
    put_in_order();
    std::uint32_t position = 0;
    for (const JobIndex j : queue_) {
      Verdict verdict{.job = j, .position = ++position};
      decide(j, verdict);
      plan_.verdicts.push_back(verdict);
    }
    return std::move(plan_);
  }

 private:
  const JobView& job(JobIndex j) const { return s_.jobs[j]; }

  Ms left(const JobView& job) const {
    if (job.hold == Hold::kEnding) return job.estimate > 0 ? job.estimate : kEndingSoon;
    return job.estimate > 0 ? job.estimate : policy_.default_estimate;
  }

  bool starves(const JobView& job) const {
    return job.hold == Hold::kQueued && policy_.starving > 0 && s_.now - job.waiting_since >= policy_.starving;
  }

  void look_at_jobs() {
    for (JobIndex j = 0; j < s_.jobs.size(); ++j) {
      const JobView& view = job(j);
      ranks_[j] = {.tier = view.tier, .level = !slice_ ? 0 : starves(view) ? 0 : 1 + level_of(view.service, policy_)};
      if (view.hold == Hold::kQueued) {
        queue_.push_back(j);
        continue;
      }
      pool_.take(view.held);
      holders_.push_back(j);
      use_quotas(view, weight(view), +1);
      if (view.hold == Hold::kEnding) {
        ending_.push_back(j);
      } else {
        if (view.array != 0) ++running_of_array_[view.array];
        if (slice_) may_be_victim(j);
      }
    }
    std::ranges::sort(victims_, [](const Victim& a, const Victim& b) {
      return std::tuple(a.cost_per_node, a.job) < std::tuple(b.cost_per_node, b.job);
    });
  }

  // ---- order

  void put_in_order() {
    std::vector<bool> above(s_.jobs.size());
    if (slice_ && policy_.fair) mark_above_share(above);
    std::ranges::sort(queue_, [&](JobIndex a, JobIndex b) {
      const auto key = [&](JobIndex j) {
        const bool late = ranks_[j].level != 0 && above[j];
        return std::tuple(~ranks_[j].tier, ranks_[j].level != 0, late, ranks_[j].level, job(j).submitted, job(j).id);
      };
      return key(a) < key(b);
    });
  }

  void mark_above_share(std::vector<bool>& above) const {
    std::map<std::uint32_t, UserView> users;
    for (const JobView& view : s_.jobs) {
      users.try_emplace(view.user, view.user < s_.users.size() ? s_.users[view.user] : UserView());
    }
    double shares = 0, usage = 0;
    for (const auto& [user, about] : users) {
      shares += about.share;
      usage += about.usage;
    }
    if (users.size() < 2 || usage <= 0) return;
    for (const JobIndex j : queue_) {
      const UserView& user = users.at(job(j).user);
      above[j] = user.usage / usage > kShareSlack * user.share / shares;
    }
  }

  // ---- one job

  void decide(JobIndex j, Verdict& verdict) {
    const Request& request = job(j).request;
    if (const auto reason = refused(j, verdict)) {
      verdict.reason = *reason;
      return;
    }
    if (policy_.kind == Kind::kFifo && blocked_) {
      verdict.reason = Reason::kOrder;
      return;
    }
    const Pool::Asker asker{.job = j, .ends = s_.now + left(job(j))};
    if (!known_to_fail(j, asker)) {
      if (auto placed = pool_.place(request, asker)) {
        start(j, std::move(*placed));
        verdict.reason = Reason::kStarts;
        return;
      }
      remember_failure(j, asker);
    }
    // From here on it waits.
    if (slice_ && make_room(j)) {
      verdict.reason = Reason::kPreempting;
      return;
    }
    verdict.reason = fits_but_for_reservations(j, asker) ? Reason::kReserved : Reason::kBusy;
    if (policy_.kind != Kind::kFifo && reserved_ < policy_.reservations) verdict.start = reserve_for(j);
    blocked_ = true;
  }

  // Why it may not start whatever is free.
  std::optional<Reason> refused(JobIndex j, Verdict& verdict) {
    const JobView& view = job(j);
    const Existence exists = existence(view.request);
    if (!exists.ever || !exists.now) {
      verdict.nodes_matching = exists.ever ? exists.matching.usable : exists.matching.all;
      return exists.ever ? Reason::kNoNodes : Reason::kNever;
    }
    if (view.array != 0 && view.array_limit != 0 && running_of_array_[view.array] >= view.array_limit)
      return Reason::kArray;
    if (!within_quotas(view)) return Reason::kQuota;
    return std::nullopt;
  }

  void start(JobIndex j, std::vector<Placed> placed) {
    const JobView& view = job(j);
    pool_.take(placed);
    use_quotas(view, weight(view), +1);
    if (view.array != 0) ++running_of_array_[view.array];
    plan_.starts.push_back({.job = j, .nodes = std::move(placed)});
  }

  // ---- what exists

  struct Existence {
    bool ever = false;
    bool now = false;
    Pool::Matching matching;
  };

  Existence existence(const Request& request) {
    if (!common(request)) return look_whether_exists(request);
    const auto [at, fresh] = existence_.try_emplace(shape_of(request));
    if (fresh) at->second = look_whether_exists(request);
    return at->second;
  }

  Existence look_whether_exists(const Request& request) {
    if (empty_ == nullptr) {
      all_well_ = s_.nodes;
      for (NodeView& node : all_well_) node.usable = true;
      whole_ = std::make_unique<Pool>(all_well_);
      empty_ = std::make_unique<Pool>(s_.nodes);
    }
    Existence found;
    found.now = empty_->place(request, {}).has_value();
    found.ever = found.now || whole_->place(request, {}).has_value();
    if (!found.now) found.matching = whole_->matching(request);
    if (!found.now) found.matching.usable = empty_->matching(request).usable;
    return found;
  }

  // ---- failures that need not be tried again: what is free only shrinks, and reservations only grow

  bool known_to_fail(JobIndex j, const Pool::Asker& asker) const {
    const Request& request = job(j).request;
    if (!common(request)) return false;
    const auto at = failed_.find(shape_of(request));
    return at != failed_.end() && asker.ends >= at->second;
  }

  void remember_failure(JobIndex j, const Pool::Asker& asker) {
    const Request& request = job(j).request;
    if (!common(request)) return;
    const auto [at, fresh] = failed_.try_emplace(shape_of(request), asker.ends);
    if (!fresh) at->second = std::min(at->second, asker.ends);
  }

  bool fits_but_for_reservations(JobIndex j, Pool::Asker asker) const {
    if (reserved_ == 0) return false;
    asker.ignores_reservations = true;
    return pool_.place(job(j).request, asker).has_value();
  }

  // ---- quotas

  // Nodes that it is, in parts where it shares one.
  double weight(const JobView& view) const {
    if (!view.request.shares()) return view.request.nodes;
    std::uint32_t most = 1;
    for (const Placed& placed : view.held) most = std::max(most, s_.nodes[placed.node].gpus);
    if (view.held.empty()) most = std::max(most, largest_gpus());
    return view.request.gpus > 0 ? static_cast<double>(view.request.gpus) / most : 1;
  }

  std::uint32_t largest_gpus() const {
    if (!largest_gpus_) {
      largest_gpus_ = 0;
      for (const NodeView& node : s_.nodes) largest_gpus_ = std::max(*largest_gpus_, node.gpus);
    }
    return *largest_gpus_;
  }

  static bool counts(const QuotaView& quota, const JobView& view) {
    return (quota.user == kNone || quota.user == view.user) && (quota.queue == kNone || quota.queue == view.queue) &&
           view.tier >= quota.tier;
  }

  void use_quotas(const JobView& view, double nodes, int sign) {
    for (std::uint32_t q = 0; q < s_.quotas.size(); ++q) {
      if (counts(s_.quotas[q], view)) quota_used_[{q, view.user}] += sign * nodes;
    }
  }

  bool within_quotas(const JobView& view) const {
    for (std::uint32_t q = 0; q < s_.quotas.size(); ++q) {
      if (!counts(s_.quotas[q], view)) continue;
      const auto used = quota_used_.find({q, view.user});
      if ((used == quota_used_.end() ? 0 : used->second) + weight(view) > s_.quotas[q].nodes + 1e-9) return false;
    }
    return true;
  }

  // ---- preemption

  struct Victim {
    JobIndex job = 0;
    double cost_per_node = 0;
    double cost = 0;
    bool taken = false;  // for somebody of this pass
  };

  void may_be_victim(JobIndex j) {
    const JobView& view = job(j);
    const Ms ran = s_.now - view.running_since;
    if (!view.preemptible || ran < std::max(view.min_run, policy_.min_run)) return;
    const Ms unsaved = s_.now - std::max(view.saved, view.running_since);
    const double lost = static_cast<double>(unsaved + (view.switch_cost > 0 ? view.switch_cost : kSwitchCost));
    victims_.push_back({.job = j, .cost_per_node = lost, .cost = lost * weight(view)});
    victim_nodes_[ranks_[j].key()] += view.held.size();
  }

  bool may_preempt(JobIndex by, const Victim& victim) const {
    if (victim.taken || !ranks_[by].above(ranks_[victim.job])) return false;
    return job(by).user != job(victim.job).user || job(by).tier != job(victim.job).tier;
  }

  std::size_t nodes_below(const Rank& rank) const {
    std::size_t nodes = 0;
    for (const auto& [key, count] : victim_nodes_) {
      if (key < rank.key()) nodes += count;
    }
    return nodes;
  }

  // Whether nodes that others are leaving, or would, make it a place; then they are kept for it.
  bool make_room(JobIndex j) {
    const Request& request = job(j).request;
    const Rank& rank = ranks_[j];
    std::size_t coming_nodes = 0;
    for (const JobIndex e : ending_) {
      if (comes_to(e, j)) coming_nodes += job(e).held.size();
    }
    const std::size_t most = pool_.free_nodes() + coming_nodes + nodes_below(rank);
    if (request.shares() ? most == 0 : most < request.nodes) return false;
    const auto shape = std::tuple(shape_of(request), job(j).user);
    if (common(request)) {
      const auto at = no_room_.find(shape);
      if (at != no_room_.end() && !rank.above(at->second)) return false;
    }
    std::vector<JobIndex> given;
    for (const JobIndex e : ending_) {
      if (!comes_to(e, j)) continue;
      pool_.give(job(e).held);
      given.push_back(e);
    }
    const Pool::Asker asker{.job = j, .ends = s_.now + left(job(j)), .ignores_reservations = true};
    const auto fits = [&] {
      return request.shares() || pool_.free_nodes() >= request.nodes ? pool_.place(request, asker) : std::nullopt;
    };
    auto placed = fits();
    std::vector<Victim*> chosen;
    for (auto v = victims_.begin(); !placed && v != victims_.end(); ++v) {
      if (!may_preempt(j, *v)) continue;
      pool_.give(job(v->job).held);
      chosen.push_back(&*v);
      placed = fits();
    }
    if (placed) placed = without_needless(chosen, std::move(*placed), fits);
    for (const Victim* v : chosen) pool_.take(job(v->job).held);
    for (const JobIndex e : given) pool_.take(job(e).held);
    if (!placed) {
      if (common(request)) no_room_.insert_or_assign(shape, rank);
      return false;
    }
    for (const Placed& p : *placed) pool_.keep(p.node, j);
    for (Victim* v : chosen) {
      v->taken = true;
      victim_nodes_[ranks_[v->job].key()] -= job(v->job).held.size();
      plan_.preempts.push_back({.victim = v->job, .by = j});
    }
    // What it takes it may not have in another way: quotas and arrays count it from now on.
    use_quotas(job(j), weight(job(j)), +1);
    if (job(j).array != 0) ++running_of_array_[job(j).array];
    for (const JobIndex e : given) {
      if (uses(*placed, job(e).held)) coming_for_[e] = j;
    }
    return true;
  }

  // Whether the nodes of a job that is leaving may be planned for `j`.
  bool comes_to(JobIndex ending, JobIndex j) const {
    const std::uint64_t meant = job(ending).ending_for;
    const auto promised = coming_for_.find(ending);
    return promised == coming_for_.end() && (meant == 0 || meant == job(j).id || !queued(meant));
  }

  bool queued(std::uint64_t id) const {
    if (!ids_) {
      ids_.emplace();
      for (const JobIndex q : queue_) ids_->push_back(job(q).id);
      std::ranges::sort(*ids_);
    }
    return std::ranges::binary_search(*ids_, id);
  }

  static bool uses(const std::vector<Placed>& placed, const std::vector<Placed>& held) {
    return std::ranges::any_of(held, [&](const Placed& h) {
      return std::ranges::any_of(placed, [&](const Placed& p) { return p.node == h.node; });
    });
  }

  // Gives victims back that are not needed: first those whose nodes are not used, then, the dearest first, those
  // without whom there is a place as well.
  template <class Fits>
  std::vector<Placed> without_needless(std::vector<Victim*>& chosen, std::vector<Placed> placed, Fits fits) {
    std::erase_if(chosen, [&](Victim* v) {
      if (uses(placed, job(v->job).held)) return false;
      pool_.take(job(v->job).held);
      return true;
    });
    if (chosen.size() > kPruneVictims) return placed;
    auto dearest = chosen;
    std::ranges::sort(dearest, [](const Victim* a, const Victim* b) {
      return a->cost != b->cost ? a->cost > b->cost : a->job < b->job;
    });
    for (Victim* v : dearest) {
      pool_.take(job(v->job).held);
      if (auto better = fits()) {
        placed = std::move(*better);
        std::erase(chosen, v);
      } else {
        pool_.give(job(v->job).held);
      }
    }
    return placed;
  }

  // ---- reservations

  // The earliest time at which it has a place, if all that run end as expected; nodes are reserved for then. 0: none.
  Ms reserve_for(JobIndex j) {
    std::vector<std::pair<Ms, JobIndex>> ends;
    for (const JobIndex h : holders_) ends.emplace_back(s_.now + left(job(h)), h);
    for (const Start& s : plan_.starts) ends.emplace_back(s_.now + left(job(s.job)), s.job);
    std::ranges::sort(ends);
    Pool later = pool_;
    const Pool::Asker asker{.job = j, .ignores_reservations = true};
    std::size_t gone = 0;
    const auto set_gone = [&](std::size_t wanted) {
      for (; gone < wanted; ++gone) later.give(held_by(ends[gone].second));
      for (; gone > wanted; --gone) later.take(held_by(ends[gone - 1].second));
    };
    std::size_t few = 0, enough = ends.size();
    set_gone(enough);
    if (!later.place(job(j).request, asker)) return 0;  // what it needs is kept for another
    while (few < enough) {
      const std::size_t middle = few + (enough - few) / 2;
      set_gone(middle);
      if (later.place(job(j).request, asker)) {
        enough = middle;
      } else {
        few = middle + 1;
      }
    }
    set_gone(enough);
    const Ms at = enough == 0 ? s_.now : ends[enough - 1].first;
    const auto placed = later.place(job(j).request, asker);
    for (const Placed& p : *placed) pool_.reserve(p.node, at);
    ++reserved_;
    return at;
  }

  const std::vector<Placed>& held_by(JobIndex j) const {
    if (job(j).hold != Hold::kQueued) return job(j).held;
    return std::ranges::find(plan_.starts, j, &Start::job)->nodes;
  }

  const Snapshot& s_;
  const Policy& policy_;
  const bool slice_;
  Pool pool_;
  std::vector<Rank> ranks_;
  std::vector<JobIndex> queue_, holders_, ending_;
  std::vector<Victim> victims_;  // the cheapest first
  std::map<decltype(Rank().key()), std::size_t> victim_nodes_;
  std::map<std::uint64_t, std::uint32_t> running_of_array_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> quota_used_;  // by quota and user
  std::map<Shape, Ms> failed_;                                            // ends of the shortest that failed
  std::map<std::tuple<Shape, std::uint32_t>, Rank> no_room_;              // by shape and user: the highest that failed
  std::map<JobIndex, JobIndex> coming_for_;
  std::map<Shape, Existence> existence_;
  std::vector<NodeView> all_well_;
  std::unique_ptr<Pool> whole_, empty_;
  mutable std::optional<std::uint32_t> largest_gpus_;
  mutable std::optional<std::vector<std::uint64_t>> ids_;
  std::uint32_t reserved_ = 0;
  bool blocked_ = false;
  Plan plan_;
};

}  // namespace

std::uint32_t level_of(Ms service, const Policy& policy) noexcept {
  std::uint32_t level = 0;
  for (Ms bound = policy.level_service; level + 1 < policy.levels && service >= bound; bound *= policy.level_factor)
    ++level;
  return level;
}

Plan plan(const Snapshot& snapshot, const Policy& policy) { return Planner(snapshot, policy).run(); }

}  // namespace ff::ctl::sched
