#include "ffs/mgmt/manager_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace ff::ffs {

namespace {

std::unexpected<Error> wrong(std::string what) { return fail(Errc::kInvalidArgument, std::move(what)); }

// Targets of the request that are new, by number.
Result<std::map<std::uint64_t, TargetInfo>> new_targets(const ManagerState& state,
                                                        const InstallChainsRequest& request) {
  std::map<std::uint64_t, TargetInfo> out;
  for (const TargetInfo& target : request.targets()) {
    const std::uint64_t id = target.target();
    if (id == 0 || target.node() == 0) return wrong("install: a target without a number or a node");
    const auto known = state.targets.find(id);
    if (known != state.targets.end() && known->second.node() != target.node())
      return fail(Errc::kAlreadyExists, fmt::format("target {}: is of node {} already", id, known->second.node()));
    if (known != state.targets.end()) continue;
    TargetInfo& record = out[id];
    if (record.target() != 0) return wrong(fmt::format("target {}: is given twice", id));
    record.set_target(id);
    record.set_node(target.node());
    record.set_path(target.path());
  }
  return out;
}

Result<> check_existing(const ChainInfo& have, const ChainInfo& given) {
  std::set<std::uint64_t> a;
  std::set<std::uint64_t> b;
  for (const ChainMember& member : have.members()) a.insert(member.target());
  for (const ChainMember& member : given.members()) b.insert(member.target());
  if (a == b) return {};
  return fail(Errc::kAlreadyExists, fmt::format("chain {}: is there with other members (leave it out)", have.chain()));
}

}  // namespace

std::vector<Member> members_of(const ChainInfo& chain) {
  std::vector<Member> out;
  for (const ChainMember& member : chain.members())
    out.push_back({.target = TargetId{member.target()}, .state = member.state()});
  return out;
}

std::vector<TargetId> preferred_order(const ChainInfo& chain) {
  std::vector<TargetId> out;
  for (const std::uint64_t target : chain.preferred_order()) out.push_back(TargetId{target});
  return out;
}

ChainInfo with_members(const ChainInfo& chain, std::span<const Member> members) {
  ChainInfo next = chain;
  next.set_version(chain.version() + 1);
  next.clear_members();
  for (const Member& member : members) {
    ChainMember& added = *next.add_members();
    added.set_target(number(member.target));
    added.set_state(member.state);
  }
  return next;
}

std::uint64_t latest_table_version(const ManagerState& state, std::uint64_t table) {
  const auto after = state.tables.upper_bound({table, ~std::uint64_t{0}});
  if (after == state.tables.begin() || std::prev(after)->first.first != table) return 0;
  return std::prev(after)->first.second;
}

Result<ManagerChange> plan_install(const ManagerState& state, const InstallChainsRequest& request) {
  ManagerChange change;
  FF_TRY_ASSIGN(auto targets, new_targets(state, request));
  std::map<std::uint64_t, TargetInfo> changed = targets;
  std::set<std::uint64_t> chains;
  for (const ChainInfo& given : request.chains()) {
    const std::uint64_t id = given.chain();
    if (id == 0 || given.members().empty()) return wrong("install: a chain without a number or members");
    if (!chains.insert(id).second) return wrong(fmt::format("chain {}: is given twice", id));
    if (const auto known = state.chains.find(id); known != state.chains.end()) {
      FF_TRY(check_existing(known->second, given));
      continue;
    }
    ChainInfo chain;
    chain.set_chain(id);
    chain.set_version(1);
    for (const ChainMember& member : given.members()) {
      const auto fresh = changed.find(member.target());
      const auto known = state.targets.find(member.target());
      if (fresh == changed.end() && known == state.targets.end())
        return wrong(fmt::format("chain {}: target {} is not known", id, member.target()));
      TargetInfo target = fresh != changed.end() ? fresh->second : known->second;
      if (target.chain() != 0)
        return wrong(fmt::format("chain {}: target {} is of chain {}", id, member.target(), target.chain()));
      target.set_chain(id);
      changed[member.target()] = target;
      ChainMember& added = *chain.add_members();
      added.set_target(member.target());
      added.set_state(SERVING);
      chain.add_preferred_order(member.target());
    }
    if (!given.preferred_order().empty()) {
      FF_TRY(check_preferred_order(members_of(chain), preferred_order(given)));
      *chain.mutable_preferred_order() = given.preferred_order();
    }
    change.chains.push_back(std::move(chain));
  }

  const ChainTable& table = request.table();
  if (table.table() == 0 || table.chains().empty()) return wrong("install: a table without a number or chains");
  std::set<std::uint64_t> listed;
  for (const std::uint64_t chain : table.chains()) {
    if (!state.chains.contains(chain) && !chains.contains(chain))
      return wrong(fmt::format("table {}: chain {} is not known", table.table(), chain));
    if (!listed.insert(chain).second) return wrong(fmt::format("table {}: lists chain {} twice", table.table(), chain));
  }
  const std::uint64_t latest = latest_table_version(state, table.table());
  const auto present = state.tables.find({table.table(), latest});
  if (present == state.tables.end() || !std::ranges::equal(present->second.chains(), table.chains())) {
    change.table = table;
    change.table->set_version(latest + 1);
  }
  for (auto& [id, target] : changed) {
    if (!state.nodes.contains(target.node()) &&
        std::ranges::none_of(change.nodes, [&](const NodeInfo& n) { return n.node() == target.node(); })) {
      change.nodes.emplace_back().set_node(target.node());
    }
    change.targets.push_back(std::move(target));
  }
  return change;
}

namespace {

Result<ManagerChange> plan_add(const ManagerState& state, const ChainInfo& chain, const UpdateChainRequest& request) {
  ManagerChange change;
  const auto known = state.targets.find(request.target());
  if (known != state.targets.end() && known->second.chain() == chain.chain()) return change;
  if (known != state.targets.end() && known->second.chain() != 0)
    return fail(Errc::kAlreadyExists,
                fmt::format("target {}: is of chain {}", request.target(), known->second.chain()));
  TargetInfo target;
  if (known != state.targets.end()) {
    target = known->second;
    const auto node = state.nodes.find(target.node());
    if (target.draining() || (node != state.nodes.end() && node->second.draining()))
      return wrong(fmt::format("target {}: is drained (`ffs {} undrain` first)", request.target(),
                               target.draining() ? "target" : "node"));
  } else {
    if (request.added().node() == 0) return wrong(fmt::format("target {}: of which node?", request.target()));
    target.set_target(request.target());
    target.set_node(request.added().node());
    target.set_path(request.added().path());
    if (!state.nodes.contains(target.node())) change.nodes.emplace_back().set_node(target.node());
  }
  FF_TRY_ASSIGN(const auto members, add_member(members_of(chain), TargetId{request.target()}));
  target.set_chain(chain.chain());
  target.set_set_offline(false);
  ChainInfo next = with_members(chain, members);
  next.add_preferred_order(request.target());
  if (next.replicas() != 0) next.set_replicas(next.replicas() + 1);
  change.chains.push_back(std::move(next));
  change.targets.push_back(std::move(target));
  return change;
}

// Records of targets that change, each from what is stored or from what has become of it already.
class TargetChanges {
 public:
  TargetChanges(const ManagerState& state, ManagerChange& change) : state_(state), change_(change) {}
  TargetInfo& operator[](std::uint64_t id) {
    const auto found = std::ranges::find(change_.targets, id, [](const TargetInfo& t) { return t.target(); });
    return found != change_.targets.end() ? *found : change_.targets.emplace_back(state_.targets.at(id));
  }

 private:
  const ManagerState& state_;
  ManagerChange& change_;
};

// The change in which a member that is OFFLINE goes; it has no other chain. Those whose place it was to take get what
// was to take its own.
Result<ManagerChange> leave_chain(const ManagerState& state, const ChainInfo& chain, std::uint64_t target) {
  ManagerChange change;
  FF_TRY_ASSIGN(const auto members, remove_member(members_of(chain), TargetId{target}));
  ChainInfo next = with_members(chain, members);
  next.clear_preferred_order();
  for (const std::uint64_t other : chain.preferred_order())
    if (other != target) next.add_preferred_order(other);
  change.chains.push_back(std::move(next));
  TargetChanges targets(state, change);
  const std::uint64_t heir = state.targets.at(target).replacement();
  const bool known = std::ranges::any_of(members, [&](const Member& m) { return number(m.target) == heir; });
  for (const Member& member : members) {
    const std::uint64_t id = number(member.target);
    if (const auto other = state.targets.find(id);
        other != state.targets.end() && other->second.replacement() == target)
      targets[id].set_replacement(known && heir != id ? heir : 0);
  }
  TargetInfo& record = targets[target];
  record.set_chain(0);
  record.set_set_offline(false);
  record.set_leaving(false);
  record.set_replacement(0);
  return change;
}

Result<ManagerChange> plan_remove(const ManagerState& state, const ChainInfo& chain,
                                  const UpdateChainRequest& request) {
  const auto known = state.targets.find(request.target());
  if (known != state.targets.end() && known->second.chain() == 0) return ManagerChange();
  FF_TRY_ASSIGN(ManagerChange change, leave_chain(state, chain, request.target()));
  const auto node = state.nodes.find(known->second.node());  // known: it was a member
  const bool drained =
      known->second.draining() || (node != state.nodes.end() && node->second.draining());  // others take its place
  ChainInfo& next = change.chains.front();
  if (next.replicas() > 1 && !drained) next.set_replicas(next.replicas() - 1);
  return change;
}

Result<ManagerChange> plan_offline(const ManagerState& state, const ChainInfo& chain,
                                   const std::vector<MemberView>& views, const UpdateChainRequest& request,
                                   bool offline) {
  ManagerChange change;
  const auto known = state.targets.find(request.target());
  if (known == state.targets.end() || known->second.chain() != chain.chain())
    return fail(Errc::kNotFound, fmt::format("target {}: is no member", request.target()));
  if (known->second.set_offline() == offline) return change;
  if (offline) FF_TRY(check_set_offline(views, TargetId{request.target()}, request.force()));
  change.targets.push_back(known->second);
  change.targets.back().set_set_offline(offline);
  return change;
}

}  // namespace

Result<ManagerChange> plan_update(const ManagerState& state, const ChainInfo& chain,
                                  const std::vector<MemberView>& views, const UpdateChainRequest& request) {
  ManagerChange change;
  const TargetId target{request.target()};
  switch (request.change()) {
    case UpdateChainRequest::ADD: return plan_add(state, chain, request);
    case UpdateChainRequest::REMOVE: return plan_remove(state, chain, request);
    case UpdateChainRequest::SET_OFFLINE: return plan_offline(state, chain, views, request, true);
    case UpdateChainRequest::SET_ONLINE: return plan_offline(state, chain, views, request, false);
    case UpdateChainRequest::ROTATE_LASTSRV: {
      const bool serves = std::ranges::any_of(
          views, [&](const MemberView& v) { return v.member.target == target && v.member.state == SERVING; });
      if (serves) return change;
      FF_TRY_ASSIGN(const auto members, rotate_lastsrv(views, target, request.force()));
      change.chains.push_back(with_members(chain, members));
      return change;
    }
    case UpdateChainRequest::PREFERRED_ORDER: {
      std::vector<TargetId> order;
      for (const std::uint64_t one : request.order()) order.push_back(TargetId{one});
      FF_TRY(check_preferred_order(members_of(chain), order));
      if (std::ranges::equal(chain.preferred_order(), request.order())) return change;
      // The members stay as they are, and so does the chain's version.
      change.chains.push_back(chain);
      *change.chains.back().mutable_preferred_order() = request.order();
      return change;
    }
    default: return wrong("change: none that this manager knows");
  }
}

namespace {

// The member stays, and whoever began to take its place leaves instead.
void stay(TargetChanges& targets, std::uint64_t member, const Replacements& now) {
  std::set<std::uint64_t> others;
  for (std::uint64_t next = now.successor_of(member); next != 0 && next != member && others.insert(next).second;)
    next = now.successor_of(next);
  for (const std::uint64_t other : others) {
    targets[other].set_draining(true);
    targets[other].set_replacement(member);
  }
  TargetInfo& record = targets[member];
  record.set_draining(false);
  record.set_leaving(false);
  record.set_replacement(0);
}

Result<ManagerChange> plan_drain_node(const ManagerState& state, const NodeInfo& node, Drain drain,
                                      const Replacements& now) {
  ManagerChange change;
  if (drain != DRAIN_OUT && drain != DRAIN_UNDO) return wrong("drain: none that this manager knows");
  const bool out = drain == DRAIN_OUT;
  if (node.draining() == out) return change;
  TargetChanges targets(state, change);
  std::vector<std::uint64_t> fresh;
  for (const auto& [id, target] : state.targets) {
    if (target.node() != node.node() || target.chain() == 0 || target.draining()) continue;
    if (out) {
      fresh.push_back(id);
    } else {
      stay(targets, id, now);
    }
  }
  FF_TRY(now.check(fresh));
  change.nodes.push_back(node);
  change.nodes.back().set_draining(out);
  return change;
}

}  // namespace

Result<ManagerChange> plan_set_target(const ManagerState& state, const SetTargetRequest& request,
                                      const Replacements& now) {
  ManagerChange change;
  const std::uint64_t id = request.target(), named = request.replacement();
  const auto known = state.targets.find(id);
  if (known == state.targets.end()) return fail(Errc::kNotFound, fmt::format("target {}: no such target", id));
  const TargetInfo& target = known->second;
  const std::uint64_t successor = now.successor_of(id);
  TargetChanges targets(state, change);
  if (request.drain() == DRAIN_UNDO) {
    const auto node = state.nodes.find(target.node());
    if (target.chain() != 0 && node != state.nodes.end() && node->second.draining())
      return wrong(fmt::format("target {}: its node is drained (`ffs node undrain {}`)", id, target.node()));
    if (target.draining()) stay(targets, id, now);
    return change;
  }
  if (request.drain() != DRAIN_OUT) return wrong("drain: none that this manager knows");
  if (named == 0 && target.draining()) return change;
  if (target.chain() == 0) {
    if (named != 0) return wrong(fmt::format("target {}: is of no chain, there is nothing to replace", id));
  } else if (named != 0 && successor == named) {
    // It takes its place already; its node's drain may be undone later, this remains.
  } else if (named != 0) {
    if (successor != 0)
      return fail(Errc::kAlreadyExists, fmt::format("target {}: target {} takes its place already (`ffs target undrain "
                                                    "{}` first)",
                                                    id, successor, id));
    FF_TRY(now.check_named(id, named));
    targets[id].set_replacement(named);
  } else if (!now.leaves(id)) {
    FF_TRY(now.check({id}));
  }
  if (!target.draining()) targets[id].set_draining(true);
  return change;
}

Result<ManagerChange> plan_step(const ManagerState& state, const ReplacementStep& step) {
  using Kind = ReplacementStep::Kind;
  const ChainInfo& chain = state.chains.at(step.chain);
  ManagerChange change;
  TargetChanges targets(state, change);
  switch (step.kind) {
    case Kind::kAdd: {
      FF_TRY_ASSIGN(const auto members, add_member(members_of(chain), TargetId{step.replacement}));
      ChainInfo& next = change.chains.emplace_back(with_members(chain, members));
      next.set_replicas(static_cast<std::uint32_t>(Replacements::wanted(chain)));
      next.clear_preferred_order();
      for (const std::uint64_t target : chain.preferred_order()) {
        next.add_preferred_order(target);
        if (target == step.target) next.add_preferred_order(step.replacement);
      }
      if (next.preferred_order_size() == chain.preferred_order_size()) next.add_preferred_order(step.replacement);
      targets[step.replacement].set_chain(step.chain);
      targets[step.target].set_replacement(step.replacement);
      return change;
    }
    case Kind::kStop:
    case Kind::kReturn: targets[step.target].set_leaving(step.kind == Kind::kStop); return change;
    case Kind::kRemove: return leave_chain(state, chain, step.target);
    case Kind::kGiveUp: return leave_chain(state, chain, step.replacement);
  }
  return wrong("replacement: no such step");
}

Result<ManagerChange> plan_set_node(const ManagerState& state, const SetNodeRequest& request, std::optional<bool> alive,
                                    const Replacements& now) {
  ManagerChange change;
  const auto node = state.nodes.find(request.node());
  if (node == state.nodes.end()) {
    if (request.forget()) return change;
    return fail(Errc::kNotFound, fmt::format("node {}: no such node", request.node()));
  }
  if (request.drain() != DRAIN_KEEP) return plan_drain_node(state, node->second, request.drain(), now);
  if (!request.forget()) {
    if (node->second.disabled() == request.disabled()) return change;
    change.nodes.push_back(node->second);
    change.nodes.back().set_disabled(request.disabled());
    return change;
  }
  if (alive.value_or(true))
    return wrong(fmt::format("node {}: {} (stop it first)", request.node(),
                             alive ? "is alive" : "may be alive, this manager is new"));
  for (const auto& [id, target] : state.targets) {
    if (target.node() != request.node()) continue;
    if (target.chain() != 0)
      return wrong(fmt::format("node {}: its target {} is of chain {} (remove it there first)", request.node(), id,
                               target.chain()));
    change.forgotten_targets.push_back(id);
  }
  change.forgotten_nodes.push_back(request.node());
  return change;
}

Result<ManagerChange> plan_set_config(const ManagerState& state, const SetConfigRequest& request) {
  ManagerChange change;
  if (request.role() == ROLE_NONE || !Role_IsValid(request.role())) return wrong("configuration: of which role?");
  const auto present = state.configs.find(request.role());
  if (present != state.configs.end() && present->second.yaml() == request.yaml()) return change;
  GetConfigReply config;
  config.set_version(present == state.configs.end() ? 1 : present->second.version() + 1);
  config.set_yaml(request.yaml());
  change.config = std::pair(request.role(), std::move(config));
  return change;
}

}  // namespace ff::ffs
