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
  change.chains.push_back(std::move(next));
  change.targets.push_back(std::move(target));
  return change;
}

Result<ManagerChange> plan_remove(const ManagerState& state, const ChainInfo& chain,
                                  const UpdateChainRequest& request) {
  ManagerChange change;
  const auto known = state.targets.find(request.target());
  if (known != state.targets.end() && known->second.chain() == 0) return change;
  FF_TRY_ASSIGN(const auto members, remove_member(members_of(chain), TargetId{request.target()}));
  ChainInfo next = with_members(chain, members);
  next.clear_preferred_order();
  for (const std::uint64_t target : chain.preferred_order())
    if (target != request.target()) next.add_preferred_order(target);
  change.chains.push_back(std::move(next));
  TargetInfo target = known->second;
  target.set_chain(0);
  target.set_set_offline(false);
  change.targets.push_back(std::move(target));
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

Result<ManagerChange> plan_set_node(const ManagerState& state, const SetNodeRequest& request,
                                    std::optional<bool> alive) {
  ManagerChange change;
  const auto node = state.nodes.find(request.node());
  if (node == state.nodes.end()) {
    if (request.forget()) return change;
    return fail(Errc::kNotFound, fmt::format("node {}: no such node", request.node()));
  }
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
