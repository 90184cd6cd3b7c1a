#include "ffs/mgmt/local_state.hpp"

#include <algorithm>

namespace ff::ffs {

TargetPlace place_of(const RoutingView* view, TargetId target) {
  TargetPlace place{.known = view != nullptr};
  const TargetInfo* info = view == nullptr ? nullptr : view->target(target);
  if (info == nullptr) return place;
  place.set_offline = info->set_offline();
  const Chain* chain = view->chain(ChainId{info->chain()});
  if (chain == nullptr) return place;
  const auto member = std::ranges::find(chain->members, target, &Member::target);
  if (member == chain->members.end()) return place;
  place.chain = chain->id;
  place.version = chain->version;
  place.state = member->state;
  return place;
}

void advance(TargetLife& life, const TargetPlace& place) noexcept {
  if (!life.usable || place.set_offline) {
    life.joined = false;
    life.synced = 0;
    return;
  }
  if (!place.known) return;
  const bool out = place.state == PUBLIC_NONE || place.state == OFFLINE || place.state == LASTSRV;
  if (out) life.joined = true;
  if (life.synced != place.version) life.synced = 0;
}

LocalState local_state(const TargetLife& life, const TargetPlace& place) noexcept {
  if (!life.usable || !life.joined || place.set_offline) return LOCAL_OFFLINE;
  if (place.state == SERVING) return LOCAL_UPTODATE;
  if (place.state == SYNCING && life.synced == place.version) return LOCAL_UPTODATE;
  return LOCAL_ONLINE;
}

bool may_serve(const TargetLife& life, const TargetPlace& place) noexcept {
  return life.usable && life.joined && !place.set_offline && place.state == SERVING;
}

bool may_sync(const TargetLife& life, const TargetPlace& place) noexcept {
  return life.usable && life.joined && !place.set_offline && place.state == SYNCING;
}

}  // namespace ff::ffs
