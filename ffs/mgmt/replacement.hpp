// How a target leaves its chain without the chain losing a copy: another one takes its place first. Pure functions over
// one picture of the cluster; the primary takes the next step whenever something has changed, so what an administrator
// asked for goes on under the next primary, and after the death of any process.
//
// Who leaves  Members whose own flag says so (TargetInfo::draining), and those of a node that is drained.
// Steps       1. kAdd: fewer members stay than the chain should have. An empty target that is in no chain becomes a
//                member, and is noted as the replacement of one that leaves.
//             2. It catches up, as any member does (chain_state.hpp).
//             3. kStop: as many others serve as the chain should have, so the process of one that leaves is told to
//             stop
//                serving it. If fewer serve before it is out, kReturn: it is needed, and catches up again.
//             4. kRemove: it is OFFLINE, and still so many others serve.
//             kGiveUp: a replacement is down, its node is dead, and there is another spare target: it is no member any
//             more.
//             So a drain never lowers the number of copies, not even where another member is down: then it waits.
// Placement   A replacement is on a machine that no other member is on (with share_hosts: on a node that none is on),
//             and has room for what the chain holds. Which spare target goes where is a matching: one is found for all
//             that leave if there is a way. Disks with fewer members are preferred.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ffs/mgmt/mgmt.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ffs {

struct ReplacementStep {
  enum class Kind : std::uint8_t { kAdd, kStop, kReturn, kRemove, kGiveUp };
  Kind kind = Kind::kAdd;
  std::uint64_t chain = 0;
  std::uint64_t target = 0;       // that leaves
  std::uint64_t replacement = 0;  // kAdd, kGiveUp
  friend bool operator==(const ReplacementStep&, const ReplacementStep&) = default;
};

// Looks at `routing`, with the figures of targets that the manager fills in; it outlives this.
class Replacements {
 public:
  explicit Replacements(const Routing& routing, bool share_hosts = false);

  // Some member leaves its chain.
  bool any() const noexcept { return !leaving_.empty(); }
  // Targets that are in chains and leave them.
  const std::vector<std::uint64_t>& leaving() const noexcept { return leaving_; }
  bool leaves(std::uint64_t target) const;
  // The target that takes its place and is a member already; 0: none.
  std::uint64_t successor_of(std::uint64_t target) const;
  // How many members of the chain have to serve for it to be whole.
  static std::size_t wanted(const ChainInfo& chain);
  // Members of the chain that serve and are to go on with it, other than `without`.
  std::size_t serving(const ChainInfo& chain, std::uint64_t without = 0) const;

  // Whether these members can leave, beside those that do. kNotFound; kInvalidArgument: a chain does not serve, or
  // waits for this very member; kExhausted: what is missing for it.
  Result<> check(const std::vector<std::uint64_t>& targets) const;
  // Whether `replacement` can take the place of `target`. kNotFound, kInvalidArgument.
  Result<> check_named(std::uint64_t target, std::uint64_t replacement) const;
  // What to do next; nothing: wait. `at_once`: most replacements that catch up at one time.
  std::optional<ReplacementStep> next(std::size_t at_once) const;

 private:
  struct Place {  // of a member
    const ChainInfo* chain = nullptr;
    PublicState state = PUBLIC_NONE;
  };
  const TargetInfo* target(std::uint64_t id) const;
  const NodeInfo* node_of(std::uint64_t target) const;
  std::string host_of(std::uint64_t target) const;
  Place place(std::uint64_t target) const;
  // Why a target cannot take anybody's place; empty: it can.
  std::string unfit(const TargetInfo& target) const;
  // Which other member of the chain is on its machine; empty: none.
  std::string near_to(std::uint64_t member, std::uint64_t spare) const;
  // Why a fit target cannot take this member's place; empty: it can.
  std::string unsuited(std::uint64_t member, const TargetInfo& spare) const;
  // Spare targets, those on disks with few members first.
  std::vector<const TargetInfo*> spares() const;
  // Members that leave their chains, or do when those `asked` do, for which others have to come, as many as the chains
  // lack then. With `named`, those too for which one has been chosen that is no member yet.
  std::vector<std::uint64_t> lacking(std::span<const std::uint64_t> asked, bool named) const;
  // A spare target for each that can have one, by the position in `members`; null: none is left for it.
  std::vector<const TargetInfo*> match(std::span<const std::uint64_t> members) const;
  Result<> check_chain(std::uint64_t member) const;
  std::string shortage(std::uint64_t member) const;
  std::optional<ReplacementStep> step_of(const ChainInfo& chain, const ChainMember& member) const;
  bool gives_up(std::uint64_t member, std::uint64_t replacement) const;

  bool share_hosts_;
  std::map<std::uint64_t, const NodeInfo*> nodes_;
  std::map<std::uint64_t, const TargetInfo*> targets_;
  std::map<std::uint64_t, Place> places_;
  std::vector<const ChainInfo*> chains_;
  std::vector<std::uint64_t> leaving_;
  std::set<std::uint64_t> taken_;  // replacements of those that leave
};

}  // namespace ff::ffs
