#include "ffs/mgmt/replacement.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace ff::ffs {

namespace {

// What the head of a chain keeps free (TargetOptions::reserve_bytes): with less it would take no writes.
std::uint64_t reserve(std::uint64_t capacity) {
  constexpr std::uint64_t kReserveBytes = 256u << 20;
  return std::min(kReserveBytes, capacity / 20);
}

// A target's number tells its disk: the node, and the folder in it.
std::uint64_t disk_of(std::uint64_t target) { return target >> 12; }

template <class Map>
auto find_value(const Map& map, std::uint64_t key) {
  const auto found = map.find(key);
  return found == map.end() ? typename Map::mapped_type() : found->second;
}

}  // namespace

Replacements::Replacements(const Routing& routing, bool share_hosts) : share_hosts_(share_hosts) {
  for (const NodeInfo& node : routing.nodes()) nodes_[node.node()] = &node;
  for (const TargetInfo& target : routing.targets()) targets_[target.target()] = &target;
  for (const ChainInfo& chain : routing.chains()) {
    chains_.push_back(&chain);
    for (const ChainMember& member : chain.members())
      places_[member.target()] = {.chain = &chain, .state = member.state()};
  }
  for (const auto& [id, target] : targets_) {
    if (!places_.contains(id) || !leaves(id)) continue;
    leaving_.push_back(id);
    if (target->replacement() != 0) taken_.insert(target->replacement());
  }
}

const TargetInfo* Replacements::target(std::uint64_t id) const { return find_value(targets_, id); }

const NodeInfo* Replacements::node_of(std::uint64_t id) const {
  const TargetInfo* const info = target(id);
  return info == nullptr ? nullptr : find_value(nodes_, info->node());
}

Replacements::Place Replacements::place(std::uint64_t id) const { return find_value(places_, id); }

std::string Replacements::host_of(std::uint64_t id) const {
  const NodeInfo* const node = node_of(id);
  if (node == nullptr) return {};
  return share_hosts_ || node->host().empty() ? fmt::format("node {}", node->node()) : node->host();
}

bool Replacements::leaves(std::uint64_t id) const {
  const TargetInfo* const info = target(id);
  if (info == nullptr) return false;
  const NodeInfo* const node = node_of(id);
  return info->draining() || (node != nullptr && node->draining());
}

std::uint64_t Replacements::successor_of(std::uint64_t id) const {
  const TargetInfo* const info = target(id);
  const Place mine = place(id);
  if (info == nullptr || info->replacement() == 0 || mine.chain == nullptr || !leaves(id)) return 0;
  return place(info->replacement()).chain == mine.chain ? info->replacement() : 0;
}

std::size_t Replacements::wanted(const ChainInfo& chain) {
  return chain.replicas() != 0 ? chain.replicas() : static_cast<std::size_t>(chain.members_size());
}

std::size_t Replacements::serving(const ChainInfo& chain, std::uint64_t without) const {
  return static_cast<std::size_t>(std::ranges::count_if(chain.members(), [&](const ChainMember& member) {
    const TargetInfo* const info = target(member.target());
    return member.state() == SERVING && member.target() != without && info != nullptr && !info->set_offline() &&
           !info->leaving();
  }));
}

// ---- who can take whose place ---------------------------------------------------------------------------------------

std::string Replacements::unfit(const TargetInfo& info) const {
  const NodeInfo* const node = find_value(nodes_, info.node());
  if (const Place at = place(info.target()); at.chain != nullptr)
    return fmt::format("is of chain {}", at.chain->chain());
  if (info.draining()) return "is drained";
  if (node == nullptr || !node->alive()) return "its node is down";
  if (node->draining()) return "its node is drained";
  if (node->disabled()) return "its node is disabled";
  if (!info.trouble().empty()) return info.trouble();
  if (info.set_offline() || (info.local() != LOCAL_ONLINE && info.local() != LOCAL_UPTODATE))
    return "its process does not offer it";
  if (info.chunks() != 0) return "is not empty (stop its node, remove the target's folder, format it again)";
  return {};
}

std::string Replacements::near_to(std::uint64_t member, std::uint64_t spare) const {
  for (const ChainMember& other : place(member).chain->members())
    if (other.target() != member && host_of(other.target()) == host_of(spare))
      return fmt::format("is on the machine of target {}", other.target());
  return {};
}

std::string Replacements::unsuited(std::uint64_t member, const TargetInfo& spare) const {
  if (std::string near = near_to(member, spare.target()); !near.empty()) return near;
  std::uint64_t need = 0;
  for (const ChainMember& other : place(member).chain->members())
    if (const TargetInfo* const info = target(other.target())) need = std::max(need, info->used_bytes());
  const std::uint64_t room = spare.capacity_bytes() - std::min(spare.capacity_bytes(), spare.used_bytes());
  if (need + reserve(spare.capacity_bytes()) > room)
    return fmt::format("has room for {} bytes, and the chain holds {}", room, need);
  return {};
}

std::vector<const TargetInfo*> Replacements::spares() const {
  std::map<std::uint64_t, std::size_t> load;  // members on each disk
  for (const auto& [id, where] : places_) ++load[disk_of(id)];
  std::vector<std::pair<std::size_t, const TargetInfo*>> ranked;
  for (const auto& [id, info] : targets_)
    if (!taken_.contains(id) && unfit(*info).empty()) ranked.emplace_back(load[disk_of(id)]++, info);
  std::ranges::sort(ranked, {}, [](const auto& entry) { return std::pair(entry.first, entry.second->target()); });
  std::vector<const TargetInfo*> out;
  for (const auto& [rank, info] : ranked) out.push_back(info);
  return out;
}

// Augmenting paths: a member takes the first suited spare target that is free, or whose member finds another one.
std::vector<const TargetInfo*> Replacements::match(std::span<const std::uint64_t> members) const {
  const std::vector<const TargetInfo*> all = spares();
  constexpr std::size_t kNobody = ~std::size_t{0};
  std::vector<std::size_t> owner(all.size(), kNobody);
  std::vector<char> seen;
  const auto place_one = [&](auto& self, std::size_t member) -> bool {
    for (std::size_t s = 0; s < all.size(); ++s) {
      if (seen[s] || !unsuited(members[member], *all[s]).empty()) continue;
      seen[s] = 1;
      if (owner[s] != kNobody && !self(self, owner[s])) continue;
      owner[s] = member;
      return true;
    }
    return false;
  };
  for (std::size_t m = 0; m < members.size(); ++m) {
    seen.assign(all.size(), 0);
    (void)place_one(place_one, m);
  }
  std::vector<const TargetInfo*> out(members.size(), nullptr);
  for (std::size_t s = 0; s < all.size(); ++s)
    if (owner[s] != kNobody) out[owner[s]] = all[s];
  return out;
}

std::string Replacements::shortage(std::uint64_t member) const {
  std::size_t idle = 0, unusable = 0, near = 0, small = 0, promised = 0;
  for (const auto& [id, info] : targets_) {
    if (places_.contains(id) || info->draining()) continue;
    ++idle;
    if (!unfit(*info).empty()) {
      ++unusable;
    } else if (!near_to(member, id).empty()) {
      ++near;
    } else if (!unsuited(member, *info).empty()) {
      ++small;
    } else {
      ++promised;
    }
  }
  std::string text = fmt::format("target {}: no other can take its place in chain {}: of {} spare targets", member,
                                 place(member).chain->chain(), idle);
  const auto say = [&](std::size_t count, std::string_view what) {
    if (count > 0) text += fmt::format(" {} {},", count, what);
  };
  say(unusable, "cannot be used");
  say(near, "are on machines of the chain");
  say(small, "are too small");
  say(promised, "are taken by others that leave");
  text.pop_back();
  if (idle == 0) text = text.substr(0, text.rfind(": ")) + ": there is no spare target";
  return text +
         " (make more: raise cluster.spares_per_folder, `ffs format FILE --node N` and restart that node; or add a "
         "node)";
}

std::vector<std::uint64_t> Replacements::lacking(std::span<const std::uint64_t> asked, bool named) const {
  std::vector<std::uint64_t> out;
  for (const ChainInfo* const chain : chains_) {
    std::size_t staying = 0;
    // In the order in which they are served: with one chosen, with none, with one that is there and does not suffice
    // (another that leaves was let go before it).
    std::array<std::vector<std::uint64_t>, 3> going;
    for (const ChainMember& member : chain->members()) {
      const std::uint64_t id = member.target();
      if (!leaves(id) && std::ranges::find(asked, id) == asked.end()) {
        ++staying;
      } else {
        going.at(successor_of(id) != 0 ? 2 : target(id)->replacement() == 0 ? 1 : 0).push_back(id);
      }
    }
    std::size_t need = wanted(*chain) - std::min(wanted(*chain), staying);
    for (std::size_t kind = 0; kind < going.size(); ++kind) {
      for (const std::uint64_t id : going.at(kind)) {
        if (need == 0) break;
        --need;
        if (named || kind != 0) out.push_back(id);
      }
    }
  }
  return out;
}

Result<> Replacements::check_chain(std::uint64_t id) const {
  const Place at = place(id);
  if (at.chain == nullptr) return fail(Errc::kNotFound, fmt::format("target {}: is of no chain", id));
  const std::uint64_t chain = at.chain->chain();
  if (at.state == LASTSRV)
    return fail(Errc::kInvalidArgument,
                fmt::format("target {}: holds the last complete copy of chain {} (start its node, and drain it when "
                            "the chain serves)",
                            id, chain));
  if (serving(*at.chain) > 0) return {};
  return fail(
      Errc::kInvalidArgument,
      fmt::format("target {}: chain {} does not serve, so there is nothing to copy from (`ffs chain explain {}` "
                  "tells why)",
                  id, chain, chain));
}

Result<> Replacements::check(const std::vector<std::uint64_t>& members) const {
  for (const std::uint64_t id : members) FF_TRY(check_chain(id));
  const std::vector<std::uint64_t> all = lacking(members, false);
  const std::vector<const TargetInfo*> found = match(all);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (found[i] == nullptr) return fail(Errc::kExhausted, shortage(all[i]));
  return {};
}

Result<> Replacements::check_named(std::uint64_t member, std::uint64_t replacement) const {
  FF_TRY(check_chain(member));
  const TargetInfo* const info = target(replacement);
  if (info == nullptr)
    return fail(Errc::kNotFound,
                fmt::format("target {}: no node has it (`ffs target list` shows those that are spare)", replacement));
  std::string why = unfit(*info);
  if (why.empty() && taken_.contains(replacement) && target(member)->replacement() != replacement)
    why = "takes the place of another target that leaves";
  if (why.empty()) why = unsuited(member, *info);
  if (why.empty()) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("target {}: cannot take the place of target {}: {}", replacement, member, why));
}

// ---- steps ----------------------------------------------------------------------------------------------------------

bool Replacements::gives_up(std::uint64_t member, std::uint64_t replacement) const {
  const NodeInfo* const node = node_of(replacement);
  const TargetInfo* const info = target(replacement);
  if (place(replacement).state != OFFLINE) return false;
  if (leaves(replacement) || (node != nullptr && node->alive() && info->trouble().empty())) return false;
  return match(std::vector{member}).front() != nullptr;
}

std::optional<ReplacementStep> Replacements::step_of(const ChainInfo& chain, const ChainMember& member) const {
  using Kind = ReplacementStep::Kind;
  const std::uint64_t successor = successor_of(member.target());
  const auto step = [&](Kind kind) {
    return ReplacementStep{.kind = kind, .chain = chain.chain(), .target = member.target(), .replacement = successor};
  };
  const bool stops = target(member.target())->leaving();
  const bool enough = serving(chain, member.target()) >= wanted(chain);
  if (enough && member.state() == OFFLINE) return step(Kind::kRemove);
  if (enough && !stops && member.state() != LASTSRV) return step(Kind::kStop);
  if (!enough && stops) return step(Kind::kReturn);
  if (successor != 0 && gives_up(member.target(), successor)) return step(Kind::kGiveUp);
  return std::nullopt;
}

std::optional<ReplacementStep> Replacements::next(std::size_t at_once) const {
  std::size_t catching_up = 0;
  for (const std::uint64_t id : leaving_) {
    const Place at = place(id);
    const auto member = std::ranges::find(at.chain->members(), id, &ChainMember::target);
    if (const auto step = step_of(*at.chain, *member)) return step;
    const std::uint64_t successor = successor_of(id);
    if (successor != 0 && place(successor).state != SERVING) ++catching_up;
  }
  if (catching_up >= at_once) return std::nullopt;
  std::vector<std::uint64_t> without = lacking({}, true);
  std::erase_if(without, [&](std::uint64_t id) { return serving(*place(id).chain) == 0; });
  const auto add = [&](std::uint64_t id, std::uint64_t replacement) {
    return ReplacementStep{.kind = ReplacementStep::Kind::kAdd,
                           .chain = place(id).chain->chain(),
                           .target = id,
                           .replacement = replacement};
  };
  for (const std::uint64_t id : without) {
    const TargetInfo* const named = target(target(id)->replacement());
    if (named != nullptr && unfit(*named).empty() && unsuited(id, *named).empty()) return add(id, named->target());
  }
  const std::vector<const TargetInfo*> found = match(without);
  for (std::size_t i = 0; i < without.size(); ++i)
    if (found[i] != nullptr) return add(without[i], found[i]->target());
  return std::nullopt;
}

}  // namespace ff::ffs
