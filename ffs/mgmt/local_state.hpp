// What a storage node reports of a target, and when it may serve it: the node's half of the state protocol whose other
// half is chain_state.hpp. Pure.
//
// Rules      1. A process that has just started owns nothing: while the routing still has the target SERVING, SYNCING
// or
//               WAITING (from the life before), it reports OFFLINE. Once the manager has taken the target out (OFFLINE,
//               or LASTSRV: it is the last complete one), or if it is in no chain, the target has joined.
//            2. A joined target that is well is ONLINE; SERVING makes it UPTODATE.
//            3. A finished sync makes it UPTODATE only for the chain version under which the sync began: any change of
//               the chain may have let updates pass by.
//            4. A disk that failed, a process that stops, an administrator who took the target out: OFFLINE, and it
//               has to join anew.
// Each target on its own: one that is slow to leave its chains holds up no other.
#pragma once

#include "ffs/mgmt/routing.hpp"

namespace ff::ffs {

// What a process knows of one of its targets.
struct TargetLife {
  bool usable = false;      // opened, disk in order, not stopping
  bool joined = false;      // rule 1
  ChainVersion synced = 0;  // chain version under which a sync began that has finished; 0: none
  friend bool operator==(const TargetLife&, const TargetLife&) = default;
};

// What the routing says of a target. One that is in no chain has chain 0 and PUBLIC_NONE.
struct TargetPlace {
  bool known = false;  // there is a routing
  ChainId chain{};
  ChainVersion version = 0;
  PublicState state = PUBLIC_NONE;
  bool set_offline = false;  // by an administrator
  friend bool operator==(const TargetPlace&, const TargetPlace&) = default;
};
// `view` may be null: no routing yet.
TargetPlace place_of(const RoutingView* view, TargetId target);

// Call when the routing or `usable` has changed, and before each report.
void advance(TargetLife& life, const TargetPlace& place) noexcept;

// REQUIRES: advance() was called with this place. The report's chain_version is place.version.
LocalState local_state(const TargetLife& life, const TargetPlace& place) noexcept;

// Reads and updates; beside it, the node's lease must hold (HeartbeatSender::may_serve()).
bool may_serve(const TargetLife& life, const TargetPlace& place) noexcept;
// Takes forwarded updates and what it missed.
bool may_sync(const TargetLife& life, const TargetPlace& place) noexcept;

}  // namespace ff::ffs
