#include "ffs/mgmt/chain_state.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

namespace ff::ffs {

namespace {

bool reported_alive(LocalState local) noexcept { return local == LOCAL_ONLINE || local == LOCAL_UPTODATE; }

// Of a member that does not serve.
bool alive(const MemberView& view) noexcept { return reported_alive(view.local) && !view.set_offline; }
bool unknown(const MemberView& view) noexcept { return view.local == LOCAL_NONE && !view.set_offline; }

std::size_t rank(std::span<const TargetId> preferred, TargetId target) noexcept {
  return static_cast<std::size_t>(std::ranges::find(preferred, target) - preferred.begin());
}

// Stable within a group.
void sort_groups(std::vector<Member>& members) {
  std::vector<Member> sorted;
  sorted.reserve(members.size());
  for (const PublicState state : {SERVING, LASTSRV, SYNCING, WAITING, OFFLINE})
    std::ranges::copy_if(members, std::back_inserter(sorted), [&](const Member& m) { return m.state == state; });
  members = std::move(sorted);
}

const Member* find_member(std::span<const Member> members, TargetId target) noexcept {
  const auto found = std::ranges::find(members, target, &Member::target);
  return found == members.end() ? nullptr : &*found;
}

}  // namespace

std::vector<Member> next_members(std::span<const MemberView> members, std::span<const TargetId> preferred) {
  std::vector<Member> next;
  next.reserve(members.size());
  for (const MemberView& view : members) next.push_back(view.member);

  // Who is complete, and in service or ready for it.
  bool serving = false;
  bool was_serving = false;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const MemberView& view = members[i];
    if (view.member.state == SERVING) {
      was_serving = true;
      if (view.local == LOCAL_OFFLINE) next[i].state = LASTSRV;  // until somebody is seen to serve
    } else if (view.member.state == SYNCING && view.local == LOCAL_UPTODATE && alive(view)) {
      next[i].state = SERVING;
    }
    serving |= next[i].state == SERVING;
  }
  // Those that were LASTSRV before: they have missed what was acknowledged if anybody served since.
  for (std::size_t i = 0; i < members.size() && !serving && !was_serving; ++i) {
    if (members[i].member.state != LASTSRV || !alive(members[i])) continue;
    next[i].state = SERVING;
    serving = true;
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (next[i].state == LASTSRV && (serving || (was_serving && members[i].member.state == LASTSRV)))
      next[i].state = OFFLINE;
  }

  // Those that have to catch up: one at a time.
  bool syncing = false;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].member.state != SYNCING || next[i].state != SYNCING) continue;
    if (!alive(members[i]) && !unknown(members[i])) {
      next[i].state = OFFLINE;
    } else if (!serving || syncing) {
      next[i].state = WAITING;
    } else {
      syncing = true;
    }
  }
  std::optional<std::size_t> candidate;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (next[i].state != WAITING && next[i].state != OFFLINE) continue;
    if (unknown(members[i]) && next[i].state == members[i].member.state) continue;
    if (!alive(members[i])) {
      if (!unknown(members[i])) next[i].state = OFFLINE;
      continue;
    }
    next[i].state = WAITING;
    if (!candidate || rank(preferred, next[i].target) < rank(preferred, next[*candidate].target)) candidate = i;
  }
  if (candidate && serving && !syncing) next[*candidate].state = SYNCING;

  // Who joins the SERVING ones comes after them: a SYNCING or LASTSRV member stood behind them already.
  sort_groups(next);
  return next;
}

bool same_members(std::span<const Member> a, std::span<const Member> b) noexcept {
  return std::ranges::equal(
      a, b, [](const Member& x, const Member& y) { return x.target == y.target && x.state == y.state; });
}

Result<std::vector<Member>> add_member(std::span<const Member> members, TargetId target) {
  if (number(target) == 0) return fail(Errc::kInvalidArgument, "target 0: no such number");
  if (find_member(members, target) != nullptr)
    return fail(Errc::kAlreadyExists, fmt::format("target {}: is a member already", number(target)));
  std::vector<Member> next(members.begin(), members.end());
  next.push_back({.target = target, .state = OFFLINE});
  return next;
}

Result<std::vector<Member>> remove_member(std::span<const Member> members, TargetId target) {
  const Member* member = find_member(members, target);
  if (member == nullptr) return fail(Errc::kNotFound, fmt::format("target {}: is no member", number(target)));
  if (member->state != OFFLINE)
    return fail(Errc::kInvalidArgument, fmt::format("target {}: is {}, only an OFFLINE one can be removed (set it "
                                                    "offline first)",
                                                    number(target), PublicState_Name(member->state)));
  std::vector<Member> next;
  std::ranges::copy_if(members, std::back_inserter(next), [&](const Member& m) { return m.target != target; });
  return next;
}

Result<> check_set_offline(std::span<const MemberView> members, TargetId target, bool force) {
  const auto found = std::ranges::find_if(members, [&](const MemberView& v) { return v.member.target == target; });
  if (found == members.end()) return fail(Errc::kNotFound, fmt::format("target {}: is no member", number(target)));
  if (force) return {};
  const auto state = found->member.state;
  if (state == LASTSRV)
    return fail(Errc::kInvalidArgument,
                fmt::format("target {}: holds the chain's last complete copy (bring it back, or "
                            "force this)",
                            number(target)));
  if (state != SERVING) return {};
  const bool another = std::ranges::any_of(members, [&](const MemberView& v) {
    return v.member.target != target && v.member.state == SERVING && v.local != LOCAL_OFFLINE && !v.set_offline;
  });
  if (another) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("target {}: is the last one that serves the chain (wait until another has synced, or force "
                          "this: the chain stops)",
                          number(target)));
}

Result<std::vector<Member>> rotate_lastsrv(std::span<const MemberView> members, TargetId target, bool force) {
  const auto found = std::ranges::find_if(members, [&](const MemberView& v) { return v.member.target == target; });
  if (found == members.end()) return fail(Errc::kNotFound, fmt::format("target {}: is no member", number(target)));
  if (std::ranges::any_of(members, [](const MemberView& v) { return v.member.state == SERVING; }))
    return fail(Errc::kInvalidArgument, "chain: a member serves, nothing is to be given up");
  if (!alive(*found))
    return fail(Errc::kInvalidArgument,
                fmt::format("target {}: is not online (start its node, or choose another)", number(target)));
  if (!force)
    return fail(Errc::kInvalidArgument,
                "chain: gives up the copies that are complete; what only they hold is lost "
                "(force this if they will never come back)");
  std::vector<Member> next;
  for (const MemberView& view : members) {
    Member member = view.member;
    if (member.target == target) {
      member.state = SERVING;
    } else if (member.state == LASTSRV || member.state == SYNCING) {
      member.state = OFFLINE;
    }
    next.push_back(member);
  }
  sort_groups(next);
  return next;
}

Result<> check_preferred_order(std::span<const Member> members, std::span<const TargetId> order) {
  const bool all = order.size() == members.size() && std::ranges::all_of(members, [&](const Member& m) {
                     return std::ranges::count(order, m.target) == 1;
                   });
  if (all) return {};
  return fail(Errc::kInvalidArgument, "preferred order: does not name each member once");
}

}  // namespace ff::ffs
