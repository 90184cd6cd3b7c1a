#include "ffs/mgmt/routing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace ff::ffs {

namespace {

std::unexpected<Error> bad(std::string what) { return fail(Errc::kCorrupt, "routing: " + std::move(what)); }

bool valid_public(PublicState state) noexcept { return state >= SERVING && state <= OFFLINE; }

bool on_path(const Member& member) noexcept { return member.state == SERVING || member.state == SYNCING; }

}  // namespace

std::vector<Member> Chain::path() const {
  std::vector<Member> out;
  if (!head()) return out;
  std::ranges::copy_if(members, std::back_inserter(out), [](const Member& m) { return m.state == SERVING; });
  std::ranges::copy_if(members, std::back_inserter(out), [](const Member& m) { return m.state == SYNCING; });
  return out;
}

std::optional<TargetId> Chain::head() const {
  const auto found = std::ranges::find(members, SERVING, &Member::state);
  return found == members.end() ? std::nullopt : std::optional(found->target);
}

std::optional<TargetId> Chain::tail() const {
  std::optional<TargetId> last;
  for (const Member& member : members)
    if (member.state == SERVING) last = member.target;
  return last;
}

std::vector<TargetId> Chain::serving() const {
  std::vector<TargetId> out;
  for (const Member& member : members)
    if (member.state == SERVING) out.push_back(member.target);
  return out;
}

std::optional<Member> Chain::successor(TargetId target) const {
  const std::vector<Member> all = path();
  const auto found = std::ranges::find(all, target, &Member::target);
  if (found == all.end() || std::next(found) == all.end()) return std::nullopt;
  return *std::next(found);
}

Result<std::shared_ptr<const RoutingView>> RoutingView::make(Routing routing) {
  std::shared_ptr<RoutingView> view(new RoutingView);
  view->routing_ = std::move(routing);
  const Routing& all = view->routing_;

  for (const NodeInfo& node : all.nodes()) {
    const NodeId id{node.node()};
    if (node.node() == 0) return bad("a node without a number");
    if (!view->nodes_.emplace(id, &node).second) return bad(fmt::format("node {}: listed twice", node.node()));
    if (node.addresses().empty()) continue;  // known, but has not yet told where it is
    std::string planes;
    for (const std::string& address : node.addresses()) planes += (planes.empty() ? "" : ",") + address;
    auto peer = net::parse_peer_address(planes);
    if (!peer) return bad(fmt::format("node {}: {}", node.node(), peer.error().message()));
    view->addresses_.emplace(id, std::move(*peer));
  }
  for (const TargetInfo& target : all.targets()) {
    if (target.target() == 0) return bad("a target without a number");
    if (!view->targets_.emplace(TargetId{target.target()}, &target).second)
      return bad(fmt::format("target {}: listed twice", target.target()));
    if (!view->nodes_.contains(NodeId{target.node()}))
      return bad(fmt::format("target {}: of node {}, which is not listed", target.target(), target.node()));
  }
  std::set<TargetId> taken;
  for (const ChainInfo& info : all.chains()) {
    if (info.chain() == 0 || info.version() == 0) return bad("a chain without a number or a version");
    Chain chain{.id = ChainId{info.chain()}, .version = info.version(), .members = {}};
    std::size_t syncing = 0;
    for (const ChainMember& member : info.members()) {
      const TargetId id{member.target()};
      const auto target = view->targets_.find(id);
      if (target == view->targets_.end())
        return bad(fmt::format("chain {}: target {} is not listed", info.chain(), member.target()));
      if (target->second->chain() != info.chain())
        return bad(fmt::format("chain {}: target {} says that it is of chain {}", info.chain(), member.target(),
                               target->second->chain()));
      if (!taken.insert(id).second)
        return bad(fmt::format("chain {}: target {} is a member twice", info.chain(), member.target()));
      if (!valid_public(member.state()))
        return bad(fmt::format("chain {}: target {} in state {}", info.chain(), member.target(),
                               static_cast<int>(member.state())));
      syncing += member.state() == SYNCING ? 1 : 0;
      chain.members.push_back({.target = id, .state = member.state()});
    }
    if (chain.members.empty()) return bad(fmt::format("chain {}: no members", info.chain()));
    if (syncing > 1) return bad(fmt::format("chain {}: {} members sync at once", info.chain(), syncing));
    if (std::ranges::any_of(chain.members, on_path) && !chain.head())
      return bad(fmt::format("chain {}: a member syncs, and none serves", info.chain()));
    if (!view->chains_.emplace(chain.id, std::move(chain)).second)
      return bad(fmt::format("chain {}: listed twice", info.chain()));
  }
  for (const ChainTable& table : all.tables()) {
    if (table.table() == 0 || table.version() == 0) return bad("a chain table without a number or a version");
    std::vector<ChainId> chains;
    chains.reserve(static_cast<std::size_t>(table.chains_size()));
    for (const std::uint64_t chain : table.chains()) {
      if (!view->chains_.contains(ChainId{chain}))
        return bad(fmt::format("table {} version {}: chain {} is not listed", table.table(), table.version(), chain));
      chains.push_back(ChainId{chain});
    }
    if (chains.empty()) return bad(fmt::format("table {} version {}: no chains", table.table(), table.version()));
    if (!view->tables_.emplace(std::pair(TableId{table.table()}, table.version()), std::move(chains)).second)
      return bad(fmt::format("table {} version {}: listed twice", table.table(), table.version()));
  }
  return view;
}

namespace {
template <class Map, class Key>
auto find_pointer(const Map& map, const Key& key) noexcept {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}
}  // namespace

const Chain* RoutingView::chain(ChainId id) const noexcept { return find_pointer(chains_, id); }

const TargetInfo* RoutingView::target(TargetId id) const noexcept {
  const auto* found = find_pointer(targets_, id);
  return found == nullptr ? nullptr : *found;
}

const NodeInfo* RoutingView::node(NodeId id) const noexcept {
  const auto* found = find_pointer(nodes_, id);
  return found == nullptr ? nullptr : *found;
}

const net::PeerAddress* RoutingView::address_of(NodeId id) const noexcept { return find_pointer(addresses_, id); }

const net::PeerAddress* RoutingView::address_of(TargetId id) const noexcept {
  const TargetInfo* info = target(id);
  return info == nullptr ? nullptr : address_of(NodeId{info->node()});
}

std::span<const ChainId> RoutingView::table(TableId id, std::uint64_t version) const noexcept {
  const auto* found = find_pointer(tables_, std::pair(id, version));
  return found == nullptr ? std::span<const ChainId>() : std::span<const ChainId>(*found);
}

std::uint64_t RoutingView::latest_version(TableId id) const noexcept {
  const auto after = tables_.upper_bound({id, ~std::uint64_t{0}});
  if (after == tables_.begin()) return 0;
  const auto& [table, version] = std::prev(after)->first;
  return table == id ? version : 0;
}

std::vector<NodeId> RoutingView::nodes_with(Role role) const {
  std::vector<NodeId> out;
  for (const auto& [id, node] : nodes_)
    if (node->alive() && std::ranges::find(node->roles(), static_cast<int>(role)) != node->roles().end())
      out.push_back(id);
  return out;
}

}  // namespace ff::ffs
