// How a chain's members change state. Pure functions over (members with public states, what is known of each): the
// manager's whole judgement about replication, tested exhaustively. The nodes' half is local_state.hpp.
//
// A member is complete when it holds every acknowledged update of the chain: SERVING ones are; a SYNCING one that
// reported UPTODATE for this very chain version is, because it takes updates and has what it had missed. LASTSRV ones
// were when the last SERVING member went down, and nothing was acknowledged since: each of them alone is as good as
// all.
//
// Evaluation, over the whole chain at once
//   SERVING   alive: stays. Dead: OFFLINE while another one serves; if none does: LASTSRV, all of those that died at
//             once (3FS keeps one of them and waits for that very node).
//   SYNCING   UPTODATE: SERVING, even if nobody else is left. ONLINE: stays while somebody serves, else WAITING.
//             Dead: OFFLINE.
//   LASTSRV   none serves: the first in order that is alive serves, alone, for what the members hold beyond the
//             acknowledged updates may differ. Somebody serves: as OFFLINE.
//   WAITING, OFFLINE  alive: SYNCING if somebody serves and nobody syncs, else WAITING. Dead: OFFLINE.
//   Unknown (LOCAL_NONE: the manager is new and has not heard yet): stays as it is.
//
// Invariants (chain_state_test.cc explores all that is reachable)
//   1. At most one is SYNCING, and only while one is SERVING.
//   2. Order: SERVING, LASTSRV, SYNCING, WAITING, OFFLINE; so the head, the first, serves whenever any does.
//   3. There is a SERVING or LASTSRV member always, and each is complete, unless an administrator forced a rotation.
//   4. SERVING is entered from SYNCING with UPTODATE or from LASTSRV only, one member at a time from LASTSRV.
//   5. Among the SERVING members order never changes, and who joins them comes last: whoever is behind another in a
//      chain has no update that the other lacks, and writes count on it.
//   6. When all are back and syncs end, all serve: after at most as many changes as there are members, times three.
//
// Preferred order  Rule 5 leaves one place where it is free: of several that could sync, the one that stands first in
//                  the preferred order goes first. A chain that lost all grows back in that order.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffs/mgmt/routing.hpp"

namespace ff::ffs {

struct MemberView {
  Member member;
  LocalState local = LOCAL_NONE;  // LOCAL_UPTODATE only if it was reported for the chain's present version
  // An administrator's wish. A member that serves goes on until its process reports OFFLINE, because nobody else could
  // tell when it has stopped; others count as dead at once.
  bool set_offline = false;
  friend bool operator==(const MemberView& a, const MemberView& b) noexcept {
    return a.member.target == b.member.target && a.member.state == b.member.state && a.local == b.local &&
           a.set_offline == b.set_offline;
  }
};

// The members' next states, in their next order; equal to the present ones when nothing changes (then the chain keeps
// its version). `preferred`: targets, may be empty or lack some.
std::vector<Member> next_members(std::span<const MemberView> members, std::span<const TargetId> preferred = {});

bool same_members(std::span<const Member> a, std::span<const Member> b) noexcept;

// What an administrator may do. Each gives the chain's members as they become, or refuses with kInvalidArgument and why
// (and what would help). Evaluation follows.

// Comes in as OFFLINE. kAlreadyExists.
Result<std::vector<Member>> add_member(std::span<const Member> members, TargetId target);
// Only when OFFLINE. kNotFound.
Result<std::vector<Member>> remove_member(std::span<const Member> members, TargetId target);
// May the target be taken out of service? Refused for the last complete member that is alive, unless forced.
Result<> check_set_offline(std::span<const MemberView> members, TargetId target, bool force);
// Gives up on the present LASTSRV members: `target`, which is alive, serves with what it has, and the others become
// OFFLINE. What was acknowledged since the target was complete is lost: `force`.
Result<std::vector<Member>> rotate_lastsrv(std::span<const MemberView> members, TargetId target, bool force);
// Each member once, and no others.
Result<> check_preferred_order(std::span<const Member> members, std::span<const TargetId> order);

}  // namespace ff::ffs
