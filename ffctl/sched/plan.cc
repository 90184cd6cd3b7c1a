#include "ffctl/sched/plan.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "ffctl/sched/pool.hpp"

namespace ff::ctl::sched {
namespace {

constexpr Ms kEndingSoon = 60'000;   // until a job that is leaving has left, where nobody knows better
constexpr Ms kSwitchCost = 120'000;  // of a job that was never suspended
constexpr Ms kAlways = std::numeric_limits<Ms>::min();
constexpr std::uint32_t kLevelsMax = 1u << 16;
constexpr std::size_t kPruneVictims = 32;  // larger sets are not searched for members that are not needed
constexpr double kShareSlack = 1.1;        // a user is above his share from here on: no flapping around it

// Jobs of equal rank do not preempt each other.
struct Rank {
  std::uint32_t tier = 0;
  std::uint32_t level = 0;  // 0: starves; else 1 + level_of()
  bool above(const Rank& other) const noexcept { return tier != other.tier ? tier > other.tier : level < other.level; }
  auto key() const noexcept { return std::tuple(tier, ~level); }
};

// Requests that are alike where placement is concerned; those with only or exclude are alike to none.
struct Shape {
  std::uint32_t nodes = 0, gpus = 0, cpus = 0;
  std::uint64_t memory_bytes = 0, labels = 0;
  friend bool operator==(const Shape&, const Shape&) = default;
};
struct ShapeHash {
  std::size_t operator()(const Shape& s) const noexcept {
    std::uint64_t h = 0;
    for (const std::uint64_t part :
         {std::uint64_t{s.nodes} << 32 | s.gpus, std::uint64_t{s.cpus}, s.memory_bytes, s.labels}) {
      h = (h ^ part) * 0x9e3779b97f4a7c15ULL;
      h ^= h >> 29;
    }
    return h;
  }
};
using ShapeId = std::uint32_t;

class Planner {
 public:
  Planner(const Snapshot& snapshot, const Policy& policy)
      : s_(snapshot),
        policy_(policy),
        slice_(policy.kind == Kind::kSlice),
        pool_(snapshot.nodes),
        ranks_(snapshot.jobs.size()),
        shape_of_(snapshot.jobs.size(), kNone) {}

  Plan run() {
    look_at_jobs();
    put_in_order();
    std::uint32_t position = 0;
    for (const JobIndex j : queue_) {
      apply_leases(j);
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
        name_shape(j);
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
    take_leases();
    std::ranges::sort(victims_, [](const Victim& a, const Victim& b) {
      return std::tuple(a.cost_per_node, a.job) < std::tuple(b.cost_per_node, b.job);
    });
    std::vector<Victim*> whole;
    for (Victim& v : victims_) {
      by_node_.push_back(&v);
      (job(v.job).request.shares() ? by_part_ : whole).push_back(&v);
    }
    by_part_.insert(by_part_.end(), whole.begin(), whole.end());
  }

  void name_shape(JobIndex j) {
    const Request& r = job(j).request;
    if (!r.only.empty() || !r.exclude.empty()) return;
    const Shape shape{
        .nodes = r.nodes, .gpus = r.gpus, .cpus = r.cpus, .memory_bytes = r.memory_bytes, .labels = r.labels};
    const auto [at, fresh] = shapes_.try_emplace(shape, static_cast<ShapeId>(known_.size()));
    if (fresh) known_.emplace_back();
    shape_of_[j] = at->second;
  }

  struct Existence {
    bool ever = false;
    bool now = false;
    Pool::Matching matching;
  };

  // Nodes that were left for a job of the queue. What other jobs of its shape find, or do not find, says nothing of a
  // job that nodes are, or were, left for.
  void take_leases() {
    std::map<std::uint64_t, JobIndex> meant;
    for (const JobIndex e : ending_) meant.try_emplace(job(e).ending_for, kNone);
    for (const NodeView& node : s_.nodes) meant.try_emplace(node.kept_for, kNone);
    meant.erase(0);
    if (meant.empty()) return;
    for (const JobIndex j : queue_) {
      const auto at = meant.find(job(j).id);
      if (at == meant.end()) continue;
      at->second = j;
      shape_of_[j] = kNone;
    }
    for (NodeIndex i = 0; i < s_.nodes.size(); ++i) {
      const auto at = meant.find(s_.nodes[i].kept_for);
      if (at != meant.end() && at->second != kNone) leases_.emplace_back(i, at->second);
    }
  }

  // Those of jobs that `next` does not outrank hold from here on.
  void apply_leases(JobIndex next) {
    std::erase_if(leases_, [&](const auto& lease) {
      if (ranks_[next].above(ranks_[lease.second])) return false;
      pool_.keep(lease.first, lease.second);
      return true;
    });
  }

  // What this pass has learnt of a shape.
  struct Known {
    std::optional<Existence> existence;
    Ms failed = std::numeric_limits<Ms>::max();  // a job that ends then, or later, has no place
    std::optional<Rank> no_room;                 // nor has this rank, or a lower one, by preemption
  };
  // Null: its shape is its own.
  Known* known(JobIndex j) { return shape_of_[j] == kNone ? nullptr : &known_[shape_of_[j]]; }

  // ---- order

  void put_in_order() {
    std::vector<bool> above(s_.jobs.size());
    if (slice_ && policy_.fair) mark_above_share(above);
    struct Entry {
      std::uint32_t tier, turn;
      Ms submitted;
      std::uint64_t id;
      JobIndex job;
      auto operator<=>(const Entry&) const = default;
    };
    std::vector<Entry> entries;
    entries.reserve(queue_.size());
    for (const JobIndex j : queue_) {
      const std::uint32_t level = ranks_[j].level;
      const std::uint32_t turn = level == 0 ? 0 : level + (above[j] ? kLevelsMax : 0);
      entries.push_back({~ranks_[j].tier, turn, job(j).submitted, job(j).id, j});
    }
    std::ranges::sort(entries);
    std::ranges::transform(entries, queue_.begin(), &Entry::job);
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
    }
    verdict.reason = fits_but_for_reservations(j, asker) ? Reason::kReserved : Reason::kBusy;
    // From here on it waits.
    if (slice_ && make_room(j)) {
      verdict.reason = Reason::kPreempting;
      return;
    }
    if (policy_.kind != Kind::kFifo && reserved_ < policy_.reservations) verdict.start = reserve_for(j);
    blocked_ = true;
  }

  // Why it may not start whatever is free.
  std::optional<Reason> refused(JobIndex j, Verdict& verdict) {
    const JobView& view = job(j);
    const Existence exists = existence(j);
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

  Existence existence(JobIndex j) {
    Known* const k = known(j);
    if (k == nullptr) return look_whether_exists(job(j).request);
    if (!k->existence) k->existence = look_whether_exists(job(j).request);
    return *k->existence;
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

  bool known_to_fail(JobIndex j, const Pool::Asker& asker) {
    const Known* const k = known(j);
    return k != nullptr && asker.ends >= k->failed;
  }

  // Remembers what it finds. REQUIRES: it has no place as it is.
  bool fits_but_for_reservations(JobIndex j, Pool::Asker asker) {
    Known* const k = known(j);
    if (k != nullptr && k->failed == kAlways) return false;
    const bool told_before = k != nullptr && asker.ends >= k->failed;
    const Ms ends = asker.ends;
    asker.ignores_reservations = true;
    const bool fits = told_before || (reserved_ > 0 && pool_.place(job(j).request, asker).has_value());
    if (k != nullptr) k->failed = fits ? std::min(k->failed, ends) : kAlways;
    return fits;
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

  std::size_t nodes_below(const Rank& rank) const {
    std::size_t nodes = 0;
    for (const auto& [key, count] : victim_nodes_) {
      if (key < rank.key()) nodes += count;
    }
    return nodes;
  }

  // Whether nodes that others are leaving, or would, make it a place; then they are kept for it.
  bool make_room(JobIndex j) {
    Known* const k = known(j);
    if (k != nullptr && k->no_room && !ranks_[j].above(*k->no_room)) return false;
    if (!may_suffice(j)) return false;
    Room room = search_room(j, false);
    if (!room.placed) {
      // What all victims of the rank do not give, nobody of the rank or below gets.
      if (k != nullptr && !search_room(j, true).placed) k->no_room = ranks_[j];
      return false;
    }
    for (const Placed& p : *room.placed) pool_.keep(p.node, j);
    for (Victim* v : room.victims) {
      v->taken = true;
      victim_nodes_[ranks_[v->job].key()] -= job(v->job).held.size();
      plan_.preempts.push_back({.victim = v->job, .by = j});
    }
    // What it takes it may not have in another way: quotas and arrays count it from now on.
    use_quotas(job(j), weight(job(j)), +1);
    if (job(j).array != 0) ++running_of_array_[job(j).array];
    for (const JobIndex e : room.ending) {
      if (uses(*room.placed, job(e).held)) coming_for_[e] = j;
    }
    return true;
  }

  // By numbers alone.
  bool may_suffice(JobIndex j) const {
    std::size_t most = pool_.free_nodes() + nodes_below(ranks_[j]);
    for (const JobIndex e : ending_) most += comes_to(e, j) ? job(e).held.size() : 0;
    return most >= job(j).request.nodes || (job(j).request.shares() && most > 0);
  }

  struct Room {
    std::optional<std::vector<Placed>> placed;
    std::vector<Victim*> victims;
    std::vector<JobIndex> ending;  // that it was looked for beside
  };

  // Leaves the pool as it was.
  Room search_room(JobIndex j, bool own_user_too) {
    const Request& request = job(j).request;
    const Pool::Asker asker{.job = j, .ends = s_.now + left(job(j)), .ignores_reservations = true};
    Room room;
    for (const JobIndex e : ending_) {
      if (!comes_to(e, j)) continue;
      pool_.give(job(e).held);
      room.ending.push_back(e);
    }
    const auto fits = [&] { return pool_.place(request, asker); };
    room.placed = fits();
    // From here on only what is given can change that.
    std::size_t good = room.placed ? 0 : pool_.count_good(request, asker);
    for (Victim* const v : request.shares() ? by_part_ : by_node_) {
      if (room.placed) break;
      if (v->taken || !ranks_[j].above(ranks_[v->job])) continue;
      if (!own_user_too && job(j).user == job(v->job).user && job(j).tier == job(v->job).tier) continue;
      room.victims.push_back(v);
      bool better = false;
      for (const Placed& p : job(v->job).held) {
        pool_.give(p);
        const bool now_good = pool_.good(p.node, request, asker);
        good += now_good;
        better = better || now_good;
      }
      if (better && (request.shares() || good >= request.nodes)) room.placed = fits();
    }
    if (room.placed && !own_user_too) room.placed = without_needless(room.victims, std::move(*room.placed), fits);
    for (const Victim* v : room.victims) pool_.take(job(v->job).held);
    for (const JobIndex e : room.ending) pool_.take(job(e).held);
    return room;
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
  std::vector<Victim> victims_;
  // The cheapest first. For part of a node those that share theirs come before those that have whole nodes: the latter
  // would leave most of what they had to others of no higher rank, and find no whole node again.
  std::vector<Victim*> by_node_, by_part_;
  std::map<decltype(Rank().key()), std::size_t> victim_nodes_;
  std::map<std::uint64_t, std::uint32_t> running_of_array_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> quota_used_;  // by quota and user
  std::unordered_map<Shape, ShapeId, ShapeHash> shapes_;
  std::vector<ShapeId> shape_of_;  // by job; kNone: its own
  std::vector<Known> known_;       // by shape
  std::map<JobIndex, JobIndex> coming_for_;
  std::vector<std::pair<NodeIndex, JobIndex>> leases_;  // that do not hold yet

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
