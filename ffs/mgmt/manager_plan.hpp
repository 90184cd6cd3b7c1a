// What an administrator's request makes of the managers' state, or why it is refused. Pure. Each request may be
// repeated: when what it asks for is so already, the change is empty.
#pragma once

#include <optional>
#include <vector>

#include "ffs/mgmt/chain_state.hpp"
#include "ffs/mgmt/manager_state.hpp"
#include "ffs/mgmt/replacement.hpp"

namespace ff::ffs {

// Targets and chains that are there already must be the same; nodes that are not known yet come in as dead.
Result<ManagerChange> plan_install(const ManagerState& state, const InstallChainsRequest& request);
// `views`: of the chain's members, now.
Result<ManagerChange> plan_update(const ManagerState& state, const ChainInfo& chain,
                                  const std::vector<MemberView>& views, const UpdateChainRequest& request);
// `alive`: nothing when it is not known yet. `now`: of the same state.
Result<ManagerChange> plan_set_node(const ManagerState& state, const SetNodeRequest& request, std::optional<bool> alive,
                                    const Replacements& now);
Result<ManagerChange> plan_set_target(const ManagerState& state, const SetTargetRequest& request,
                                      const Replacements& now);
// REQUIRES: a step of Replacements::next() for this very state.
Result<ManagerChange> plan_step(const ManagerState& state, const ReplacementStep& step);
Result<ManagerChange> plan_set_config(const ManagerState& state, const SetConfigRequest& request);

// 0: no such table.
std::uint64_t latest_table_version(const ManagerState& state, std::uint64_t table);

std::vector<Member> members_of(const ChainInfo& chain);
std::vector<TargetId> preferred_order(const ChainInfo& chain);
// The chain with these members, in its next version.
ChainInfo with_members(const ChainInfo& chain, std::span<const Member> members);

}  // namespace ff::ffs
