#include "ffs/mgmt/placement.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "libcommon/base/rng.hpp"

namespace ff::ffs {

namespace {

// How often two disks meet. Looked up only, never iterated: the order of a hash table is not the same everywhere.
class Pairs {
 public:
  explicit Pairs(std::size_t disks) : disks_(disks) {
    if (disks <= kDense) dense_.resize(disks * disks);
  }
  std::uint32_t at(std::uint32_t a, std::uint32_t b) const {
    if (!dense_.empty()) return dense_[a * disks_ + b];
    const auto found = sparse_.find(key(a, b));
    return found == sparse_.end() ? 0 : found->second;
  }
  void add(std::uint32_t a, std::uint32_t b, std::int32_t by) {
    if (dense_.empty()) {
      const auto entry = sparse_.try_emplace(key(a, b), 0).first;
      entry->second += static_cast<std::uint32_t>(by);
      if (entry->second == 0) sparse_.erase(entry);
    } else {
      dense_[a * disks_ + b] += static_cast<std::uint32_t>(by);
      if (a != b) dense_[b * disks_ + a] += static_cast<std::uint32_t>(by);
    }
  }

 private:
  static constexpr std::size_t kDense = 2048;
  static std::uint64_t key(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::uint64_t>(std::min(a, b)) << 32 | std::max(a, b);
  }
  std::size_t disks_;
  std::vector<std::uint32_t> dense_;
  std::unordered_map<std::uint64_t, std::uint32_t> sparse_;
};

// The work on one request. A group is what a chain takes at most one member of: a host, or a disk where hosts are
// shared.
class Solver {
 public:
  Solver(const PlacementRequest& request, bool disk_groups)
      : request_(request), rng_(request.seed), pairs_(request.disks.size()), left_(request.disks.size()) {
    std::map<std::uint32_t, std::uint32_t> groups;  // of hosts
    for (std::uint32_t disk = 0; disk < request.disks.size(); ++disk) {
      const auto fresh = static_cast<std::uint32_t>(members_.size());
      const std::uint32_t group =
          disk_groups ? fresh : groups.try_emplace(request.disks[disk].host, fresh).first->second;
      if (group == fresh) members_.emplace_back();
      members_[group].push_back(disk);
      group_of_.push_back(group);
      left_[disk] = request.disks[disk].slots;
    }
    met_groups_.emplace(members_.size());
  }

  // The chains that there is room for; REQUIRES: old chains are in order.
  std::size_t room() const {
    std::size_t low = 0;
    std::size_t high = std::accumulate(left_.begin(), left_.end(), std::size_t{0}) / request_.replicas;
    while (low < high) {
      const std::size_t middle = (low + high + 1) / 2;
      (fits(middle) ? low : high) = fits(middle) ? middle : middle - 1;
    }
    return low;
  }
  void count_old() {
    for (const PlacedChain& chain : request_.old) {
      for (const std::uint32_t disk : chain) left_[disk] -= 1;
      meet(chain, 1);
    }
  }
  std::vector<PlacedChain> solve(std::size_t chains) {
    take_quota(chains);
    for (std::size_t left = chains; left > 0; --left) chains_.push_back(build_chain(left));
    improve();
    choose_heads();
    return in_table_order();
  }

 private:
  std::size_t group_left(std::uint32_t group) const {
    std::size_t sum = 0;
    for (const std::uint32_t disk : members_[group]) sum += left_[disk];
    return sum;
  }
  // A group gives a chain one member: so `chains` chains fit when the groups together give enough.
  bool fits(std::size_t chains) const {
    std::size_t sum = 0;
    for (std::uint32_t group = 0; group < members_.size(); ++group) sum += std::min(group_left(group), chains);
    return sum >= chains * request_.replicas;
  }

  // Lowers what each disk gives, the fullest first, until exactly as much is left as the chains need.
  void take_quota(std::size_t chains) {
    for (std::uint32_t group = 0; group < members_.size(); ++group)
      for (std::size_t have = group_left(group); have > chains; --have) *largest(members_[group]) -= 1;
    std::size_t sum = std::accumulate(left_.begin(), left_.end(), std::size_t{0});
    // Level by level: disks above a level are lowered to it.
    while (sum > chains * request_.replicas) {
      const std::uint32_t most = *std::ranges::max_element(left_);
      for (std::uint32_t& slots : left_) {
        if (slots < most || sum == chains * request_.replicas) continue;
        slots -= 1;
        sum -= 1;
      }
    }
    group_left_.clear();
    for (std::uint32_t group = 0; group < members_.size(); ++group) group_left_.push_back(group_left(group));
  }
  std::uint32_t* largest(const std::vector<std::uint32_t>& disks) {
    return &left_[*std::ranges::max_element(disks, {}, [&](std::uint32_t disk) { return left_[disk]; })];
  }

  std::uint64_t cost(std::span<const std::uint32_t> chain, std::uint32_t disk) const {
    std::uint64_t sum = 0;
    for (const std::uint32_t other : chain)
      sum += 8 * pairs_.at(disk, other) + met_groups_->at(group_of_[disk], group_of_[other]);
    return sum;
  }

  // `left`: chains that are to be built, with this one. A group that has as much left must be in each of them.
  PlacedChain build_chain(std::size_t left) {
    std::vector<std::uint32_t> groups;
    for (std::uint32_t group = 0; group < members_.size(); ++group)
      if (group_left_[group] > 0) groups.push_back(group);
    // Most left first; equal ones in random order.
    for (std::size_t i = groups.size(); i > 1; --i) std::swap(groups[i - 1], groups[rng_.below(i)]);
    // Few are enough where there are many: two of them have hardly ever met.
    const std::size_t look = members_.size() > 200 ? 8 : 48;
    const std::size_t wanted = std::min<std::size_t>(groups.size(), std::max<std::size_t>(4 * request_.replicas, look));
    std::ranges::partial_sort(groups, groups.begin() + static_cast<std::ptrdiff_t>(wanted), std::greater<>(),
                              [&](std::uint32_t group) { return group_left_[group]; });
    groups.resize(wanted);
    PlacedChain chain;
    for (std::size_t next = 0; chain.size() < request_.replicas; ++next) {
      std::size_t best = groups.size();
      if (next < groups.size() && group_left_[groups[next]] >= left) {
        best = next;  // must be
      } else {
        std::uint64_t least = ~std::uint64_t{0};
        for (std::size_t i = next; i < groups.size(); ++i) {
          // Those with much left go first, or the last chains have no choice.
          const std::uint64_t price =
              cost(chain, best_disk(groups[i], chain)) * 4 + (group_left_[groups[next]] - group_left_[groups[i]]);
          if (price < least) least = price, best = i;
        }
      }
      // The groups stay in order of what they have left, behind those that were taken.
      std::rotate(groups.begin() + static_cast<std::ptrdiff_t>(next),
                  groups.begin() + static_cast<std::ptrdiff_t>(best),
                  groups.begin() + static_cast<std::ptrdiff_t>(best) + 1);
      const std::uint32_t disk = best_disk(groups[next], chain);
      chain.push_back(disk);
    }
    for (const std::uint32_t disk : chain) {
      left_[disk] -= 1;
      group_left_[group_of_[disk]] -= 1;
    }
    meet(chain, 1);
    return chain;
  }
  std::uint32_t best_disk(std::uint32_t group, std::span<const std::uint32_t> chain) const {
    std::uint32_t best = 0;
    std::uint64_t least = ~std::uint64_t{0};
    for (const std::uint32_t disk : members_[group]) {
      if (left_[disk] == 0) continue;
      const std::uint64_t price = cost(chain, disk) * 4 + (1000 - std::min<std::uint32_t>(left_[disk], 1000));
      if (price < least) least = price, best = disk;
    }
    return best;
  }

  void meet(std::span<const std::uint32_t> chain, std::int32_t by) {
    for (std::size_t i = 0; i < chain.size(); ++i)
      for (std::size_t j = i + 1; j < chain.size(); ++j) {
        pairs_.add(chain[i], chain[j], by);
        met_groups_->add(group_of_[chain[i]], group_of_[chain[j]], by);
      }
  }
  // Could `disk` take the place of the chain's member at `place`?
  bool suits(const PlacedChain& chain, std::size_t place, std::uint32_t disk) const {
    for (std::size_t i = 0; i < chain.size(); ++i)
      if (i != place && group_of_[chain[i]] == group_of_[disk]) return false;
    return true;
  }
  // What the pairs of a chain cost; the sum of squares is least when they are even.
  std::int64_t weight(const PlacedChain& chain) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < chain.size(); ++i)
      for (std::size_t j = i + 1; j < chain.size(); ++j)
        sum += 8 * static_cast<std::int64_t>(pairs_.at(chain[i], chain[j])) +
               met_groups_->at(group_of_[chain[i]], group_of_[chain[j]]);
    return sum;
  }

  void improve() {
    if (chains_.size() < 2) return;
    const std::size_t most = request_.disks.size() > 2048 ? 500'000 : 4'000'000;
    const std::size_t tries = std::min<std::size_t>(
        chains_.size() * request_.replicas * request_.effort + (chains_.size() < 500 ? 20'000 : 0), most);
    for (std::size_t i = 0; i < tries; ++i) {
      PlacedChain& a = chains_[rng_.below(chains_.size())];
      PlacedChain& b = chains_[rng_.below(chains_.size())];
      const std::size_t x = rng_.below(a.size());
      const std::size_t y = rng_.below(b.size());
      if (&a == &b || a[x] == b[y] || !suits(a, x, b[y]) || !suits(b, y, a[x])) continue;
      const std::int64_t with = weight(a) + weight(b);
      meet(a, -1);
      meet(b, -1);
      std::swap(a[x], b[y]);
      // What the pairs would cost after they have met again: one more each, as before.
      const std::int64_t pairs = 9 * static_cast<std::int64_t>(a.size() * (a.size() - 1));
      const std::int64_t after = weight(a) + weight(b) + pairs;
      // Now and then a step that is no better: out of dead ends.
      const bool take = after < with || (after == with && rng_.below(2) == 0) ||
                        (after - with <= 18 && rng_.below(64) == 0 && i < tries / 2);
      if (!take) std::swap(a[x], b[y]);
      meet(a, 1);
      meet(b, 1);
    }
  }

  // Writes enter at the head: every disk is head of about as many chains.
  void choose_heads() {
    std::vector<std::uint32_t> heads(request_.disks.size());
    for (const PlacedChain& chain : request_.old) heads[chain.front()] += 1;
    for (PlacedChain& chain : chains_) {
      const auto head = std::ranges::min_element(chain, {}, [&](std::uint32_t disk) { return heads[disk]; });
      std::iter_swap(chain.begin(), head);
      heads[chain.front()] += 1;
    }
  }

  // Files take neighbouring chains: those whose disks were used longest ago come next.
  std::vector<PlacedChain> in_table_order() {
    std::vector<std::size_t> used(request_.disks.size());
    std::vector<PlacedChain> out;
    while (!chains_.empty()) {
      std::size_t best = 0;
      std::size_t oldest = ~std::size_t{0};
      for (int i = 0; i < 24; ++i) {
        const std::size_t candidate = rng_.below(chains_.size());
        std::size_t last = 0;
        for (const std::uint32_t disk : chains_[candidate]) last = std::max(last, used[disk]);
        if (last < oldest) oldest = last, best = candidate;
      }
      std::swap(chains_[best], chains_.back());
      out.push_back(std::move(chains_.back()));
      chains_.pop_back();
      for (const std::uint32_t disk : out.back()) used[disk] = out.size();
    }
    return out;
  }

  const PlacementRequest& request_;
  Rng rng_;
  Pairs pairs_;
  std::vector<std::uint32_t> left_;                  // slots of each disk
  std::vector<std::uint32_t> group_of_;              // of each disk
  std::vector<std::vector<std::uint32_t>> members_;  // of each group
  std::vector<std::size_t> group_left_;
  std::optional<Pairs> met_groups_;
  std::vector<PlacedChain> chains_;
};

Result<> check(const PlacementRequest& request) {
  if (request.replicas == 0) return fail(Errc::kInvalidArgument, "placement: 0 replicas (1 or more)");
  if (request.disks.empty()) return fail(Errc::kInvalidArgument, "placement: no disks");
  std::vector<std::uint32_t> used(request.disks.size());
  for (const PlacedChain& chain : request.old) {
    if (chain.empty()) return fail(Errc::kInvalidArgument, "placement: an old chain without members");
    for (const std::uint32_t disk : chain) {
      if (disk >= request.disks.size())
        return fail(Errc::kInvalidArgument, fmt::format("placement: an old chain is on disk {}, there is none", disk));
      if (++used[disk] > request.disks[disk].slots)
        return fail(Errc::kInvalidArgument, fmt::format("placement: disk {} has {} slots, and more old chains", disk,
                                                        request.disks[disk].slots));
    }
  }
  return {};
}

}  // namespace

Result<Placement> place(const PlacementRequest& request) {
  FF_TRY(check(request));
  const auto attempt = [&](bool disk_groups) -> Result<Placement> {
    Solver solver(request, disk_groups);
    solver.count_old();
    const std::size_t room = solver.room();
    if (room == 0 || room < request.chains)
      return fail(Errc::kExhausted,
                  fmt::format("placement: room for {} chains of {} members on different {}, {} are wanted "
                              "(add {}, or targets to each disk)",
                              room, request.replicas, disk_groups ? "disks" : "machines",
                              std::max<std::size_t>(request.chains, 1), disk_groups ? "disks" : "machines"));
    Placement placement;
    placement.chains = solver.solve(request.chains == 0 ? room : request.chains);
    std::vector<PlacedChain> all = request.old;
    all.insert(all.end(), placement.chains.begin(), placement.chains.end());
    placement.quality = quality_of(request.disks, all, disk_groups);
    return placement;
  };
  Result<Placement> apart = attempt(false);
  if (apart || !request.share_hosts) return apart;
  return attempt(true);
}

PlacementQuality quality_of(std::span<const PlacementDisk> disks, std::span<const PlacedChain> chains,
                            bool share_hosts) {
  Pairs pairs(disks.size());
  std::vector<double> reads(disks.size());  // that a disk serves: a share of each of its chains
  std::map<std::uint32_t, std::size_t> of_host;
  for (const PlacementDisk& disk : disks) of_host[disk.host] += 1;
  std::vector<std::vector<std::uint32_t>> met(disks.size());
  PlacementQuality quality;
  for (const PlacedChain& chain : chains) {
    for (const std::uint32_t a : chain) {
      reads[a] += 1.0 / static_cast<double>(chain.size());
      for (const std::uint32_t b : chain) {
        if (a >= b) continue;
        pairs.add(a, b, 1);
        quality.pairs_max = std::max(quality.pairs_max, pairs.at(a, b));
        met[a].push_back(b);
        met[b].push_back(a);
      }
    }
  }
  if (chains.empty() || chains.front().size() < 2) return quality;
  const auto size = static_cast<double>(chains.front().size());
  double extra_sum = 0;
  double ideal_sum = 0;
  double eligible_sum = 0;
  for (std::uint32_t disk = 0; disk < disks.size(); ++disk) {
    const double eligible = static_cast<double>(disks.size() - (share_hosts ? 1 : of_host[disks[disk].host]));
    if (eligible <= 0) continue;
    eligible_sum += eligible;
    ideal_sum += 1;
    for (const std::uint32_t other : met[disk]) {
      // One chain's share of the failed disk, spread over the members that are left.
      const double one = 1.0 / size / (size - 1) / reads[other];
      extra_sum += one;
      quality.max = std::max(quality.max, one * pairs.at(disk, other));
    }
  }
  quality.mean = eligible_sum > 0 ? extra_sum / eligible_sum : 0;
  quality.ideal = eligible_sum > 0 ? ideal_sum / eligible_sum : 0;
  return quality;
}

}  // namespace ff::ffs
