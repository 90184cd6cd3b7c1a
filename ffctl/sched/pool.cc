#include "ffctl/sched/pool.hpp"

#include <algorithm>
#include <bit>

#include "libcommon/base/assert.hpp"

namespace ff::ctl::sched {
namespace {

std::uint64_t all_gpus(std::uint32_t count) {
  return count >= kGpusMax ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

std::uint64_t lowest(std::uint64_t mask, std::uint32_t count) {
  std::uint64_t chosen = 0;
  for (; count > 0; --count) {
    chosen |= mask & -mask;
    mask &= mask - 1;
  }
  return chosen;
}

std::uint32_t bits(std::uint64_t mask) { return static_cast<std::uint32_t>(std::popcount(mask)); }

// Processors that a part of a node comes with.
std::uint32_t cpus_of(const Request& request, const NodeView& node) {
  if (request.cpus > 0 || node.gpus == 0) return request.cpus;
  return static_cast<std::uint32_t>(std::uint64_t{node.cpus} * request.gpus / node.gpus);
}

bool contains(const std::vector<NodeIndex>& sorted, NodeIndex node) { return std::ranges::binary_search(sorted, node); }

}  // namespace

Pool::Pool(const std::vector<NodeView>& nodes)
    : views_(nodes),
      nodes_(nodes.size()),
      shared_(kGpusMax + 1),
      least_{.gpus = kGpusMax, .cpus = ~0u, .memory_bytes = ~0ull} {
  for (NodeIndex i = 0; i < nodes.size(); ++i) {
    const NodeView& view = nodes[i];
    FF_ASSERT(view.gpus <= kGpusMax, view.gpus);
    if (view.leaf >= free_.size()) {
      free_.resize(view.leaf + 1);
      zone_of_leaf_.resize(view.leaf + 1);
    }
    zone_of_leaf_[view.leaf] = view.zone;
    zones_ = std::max(zones_, view.zone + 1);
    least_.gpus = std::min(least_.gpus, view.gpus);
    least_.cpus = std::min(least_.cpus, view.cpus);
    least_.memory_bytes = std::min(least_.memory_bytes, view.memory_bytes);
    nodes_[i] = {.free_gpus = all_gpus(view.gpus), .free_memory = view.memory_bytes, .free_cpus = view.cpus};
    link(i);
  }
}

std::vector<NodeIndex>& Pool::list_of(NodeIndex node) {
  return nodes_[node].holders == 0 ? free_[views_[node].leaf] : shared_[bits(nodes_[node].free_gpus)];
}

// A node that is not usable is in no list: it can be given back, and is not found.
void Pool::link(NodeIndex node) {
  if (!views_[node].usable) return;
  if (nodes_[node].holders == 0) ++free_nodes_;
  auto& list = list_of(node);
  nodes_[node].place = static_cast<std::uint32_t>(list.size());
  list.push_back(node);
}

void Pool::unlink(NodeIndex node) {
  if (!views_[node].usable) return;
  if (nodes_[node].holders == 0) --free_nodes_;
  auto& list = list_of(node);
  const std::uint32_t at = nodes_[node].place;
  list[at] = list.back();
  nodes_[list[at]].place = at;
  list.pop_back();
}

void Pool::take(const Placed& placed) {
  Node& node = nodes_[placed.node];
  FF_ASSERT((node.free_gpus & placed.gpus) == placed.gpus && node.free_cpus >= placed.cpus &&
                node.free_memory >= placed.memory_bytes && (!placed.whole || node.holders == 0),
            placed.node, placed.gpus, node.free_gpus);
  unlink(placed.node);
  node.free_gpus &= ~placed.gpus;
  node.free_cpus -= placed.cpus;
  node.free_memory -= placed.memory_bytes;
  ++node.holders;
  link(placed.node);
}

void Pool::give(const Placed& placed) {
  Node& node = nodes_[placed.node];
  unlink(placed.node);
  node.free_gpus |= placed.gpus;
  node.free_cpus += placed.cpus;
  node.free_memory += placed.memory_bytes;
  --node.holders;
  link(placed.node);
}

void Pool::take(std::span<const Placed> placed) {
  for (const Placed& p : placed) take(p);
}

void Pool::give(std::span<const Placed> placed) {
  for (const Placed& p : placed) give(p);
}

void Pool::keep(NodeIndex node, JobIndex job) {
  nodes_[node].kept_for = job;
  special_ = true;
}

void Pool::reserve(NodeIndex node, Ms at) {
  Ms& reserved = nodes_[node].reserved;
  reserved = reserved == 0 ? at : std::min(reserved, at);
  special_ = true;
}

bool Pool::suits(NodeIndex node, const Request& request) const {
  const NodeView& view = views_[node];
  return view.gpus >= request.gpus && view.cpus >= request.cpus && view.memory_bytes >= request.memory_bytes &&
         (view.labels & request.labels) == request.labels && (request.only.empty() || contains(request.only, node)) &&
         !contains(request.exclude, node);
}

bool Pool::open_to(NodeIndex index, const Asker& asker) const {
  const Node& node = nodes_[index];
  if (node.kept_for != kNone && node.kept_for != asker.job) return false;
  return node.reserved == 0 || asker.ignores_reservations || asker.ends <= node.reserved;
}

bool Pool::plain(const Request& request) const {
  return !special_ && request.labels == 0 && request.only.empty() && request.exclude.empty() &&
         request.gpus <= least_.gpus && request.cpus <= least_.cpus && request.memory_bytes <= least_.memory_bytes;
}

Pool::Matching Pool::matching(const Request& request) const {
  Matching found;
  for (NodeIndex i = 0; i < views_.size(); ++i) {
    if (!suits(i, request)) continue;
    ++found.all;
    found.usable += views_[i].usable;
  }
  return found;
}

std::optional<std::vector<Placed>> Pool::place(const Request& request, const Asker& asker) const {
  return request.shares() ? place_part(request, asker) : place_whole(request, asker);
}

bool Pool::fits_part(NodeIndex i, const Request& request, const Asker& asker) const {
  return bits(nodes_[i].free_gpus) >= request.gpus && nodes_[i].free_cpus >= cpus_of(request, views_[i]) &&
         nodes_[i].free_memory >= request.memory_bytes && suits(i, request) && open_to(i, asker);
}

bool Pool::good(NodeIndex i, const Request& request, const Asker& asker) const {
  if (!views_[i].usable) return false;
  if (request.shares()) return fits_part(i, request, asker);
  return nodes_[i].holders == 0 && suits(i, request) && open_to(i, asker);
}

std::size_t Pool::count_good(const Request& request, const Asker& asker) const {
  std::size_t count = 0;
  for (const auto& leaf : free_) {
    for (const NodeIndex i : leaf) count += good(i, request, asker);
  }
  return count;
}

std::optional<std::vector<Placed>> Pool::place_part(const Request& request, const Asker& asker) const {
  const auto fits = [&](NodeIndex i) { return fits_part(i, request, asker); };
  const auto part = [&](NodeIndex i) {
    return std::vector<Placed>{{.node = i,
                                .gpus = lowest(nodes_[i].free_gpus, request.gpus),
                                .cpus = cpus_of(request, views_[i]),
                                .memory_bytes = request.memory_bytes,
                                .whole = false}};
  };
  for (std::uint32_t gpus = request.gpus; gpus <= kGpusMax; ++gpus) {
    for (const NodeIndex i : shared_[gpus]) {
      if (fits(i)) return part(i);
    }
  }
  // Of the nodes that nobody uses, one in the leaf that has the fewest of them: large jobs like full leaves.
  const NodeIndex none = kNone;
  NodeIndex best = none;
  std::size_t best_size = 0;
  for (const auto& leaf : free_) {
    if (leaf.empty() || (best != none && leaf.size() >= best_size)) continue;
    for (const NodeIndex i : leaf) {
      if (!fits(i)) continue;
      best = i;
      best_size = leaf.size();
      break;
    }
  }
  if (best == none) return std::nullopt;
  return part(best);
}

Placed Pool::whole(NodeIndex node) const {
  const NodeView& view = views_[node];
  return {
      .node = node, .gpus = all_gpus(view.gpus), .cpus = view.cpus, .memory_bytes = view.memory_bytes, .whole = true};
}

std::optional<std::vector<Placed>> Pool::place_whole(const Request& request, const Asker& asker) const {
  if (free_nodes_ < request.nodes) return std::nullopt;
  const bool count_only = plain(request);
  const auto good = [&](NodeIndex i) { return count_only || (suits(i, request) && open_to(i, asker)); };
  std::vector<std::uint32_t> by_leaf(free_.size()), by_zone(zones_);
  std::uint32_t tightest = kNone;
  for (std::uint32_t leaf = 0; leaf < free_.size(); ++leaf) {
    const auto count =
        count_only ? free_[leaf].size() : static_cast<std::size_t>(std::ranges::count_if(free_[leaf], good));
    by_leaf[leaf] = static_cast<std::uint32_t>(count);
    by_zone[zone_of_leaf_[leaf]] += by_leaf[leaf];
    if (count >= request.nodes && (tightest == kNone || count < by_leaf[tightest])) tightest = leaf;
  }
  std::vector<Placed> placed;
  placed.reserve(request.nodes);
  const auto from_leaf = [&](std::uint32_t leaf) {
    std::vector<NodeIndex> chosen;
    for (const NodeIndex i : free_[leaf]) {
      if (placed.size() + chosen.size() == request.nodes) break;
      if (good(i)) chosen.push_back(i);
    }
    std::ranges::sort(chosen);
    for (const NodeIndex i : chosen) placed.push_back(whole(i));
  };
  if (tightest != kNone) {
    from_leaf(tightest);
    return placed;
  }
  // Of a zone: whole leaves, the fullest first, and of the last one that has just enough.
  const auto from_zone = [&](std::uint32_t zone) {
    std::vector<std::uint32_t> leaves;
    for (std::uint32_t leaf = 0; leaf < free_.size(); ++leaf) {
      if (zone_of_leaf_[leaf] == zone && by_leaf[leaf] > 0) leaves.push_back(leaf);
    }
    std::ranges::sort(leaves,
                      [&](auto a, auto b) { return by_leaf[a] != by_leaf[b] ? by_leaf[a] > by_leaf[b] : a < b; });
    for (std::size_t k = 0; k < leaves.size() && placed.size() < request.nodes; ++k) {
      const std::size_t missing = request.nodes - placed.size();
      std::size_t last = k;
      while (last + 1 < leaves.size() && by_leaf[leaves[last + 1]] >= missing) ++last;
      if (by_leaf[leaves[k]] >= missing) std::swap(leaves[k], leaves[last]);
      from_leaf(leaves[k]);
    }
  };
  std::uint32_t zone = kNone, largest = kNone;
  for (std::uint32_t z = 0; z < zones_; ++z) {
    if (by_zone[z] >= request.nodes && (zone == kNone || by_zone[z] < by_zone[zone])) zone = z;
    if (largest == kNone || by_zone[z] > by_zone[largest]) largest = z;
  }
  if (zone != kNone) {
    from_zone(zone);
    return placed;
  }
  std::uint32_t second = kNone;
  for (std::uint32_t z = 0; z < zones_; ++z) {
    if (z == largest || by_zone[largest] + by_zone[z] < request.nodes) continue;
    if (second == kNone || by_zone[z] < by_zone[second]) second = z;
  }
  if (second == kNone) return std::nullopt;
  from_zone(largest);
  from_zone(second);
  return placed;
}

}  // namespace ff::ctl::sched
