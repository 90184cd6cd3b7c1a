#include "ffctl/master/actor.hpp"

#include <fmt/core.h>
#include <pwd.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

namespace ff::ctl {

namespace {

constexpr std::size_t kNamesMax = 10'000;
constexpr std::size_t kNameBytesMax = 255;

}  // namespace

Result<Actor> actor_of(const net::PeerIdentity& peer, const Caller& caller, std::uint32_t own_uid,
                       const UserNames& names) {
  Actor actor{.user = caller.user(), .uid = caller.uid(), .gid = caller.gid()};
  if (peer.local && !peer.authenticated && peer.local->uid != 0 && peer.local->uid != own_uid) {
    if (caller.uid() != peer.local->uid)
      return fail(Errc::kPermission,
                  fmt::format("caller: says that it is user {}, and is user {}", caller.uid(), peer.local->uid));
    if (caller.gid() != peer.local->gid)
      return fail(Errc::kPermission,
                  fmt::format("caller: says that its group is {}, and it is {}", caller.gid(), peer.local->gid));
    actor.user = names(caller.uid());
  }
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (actor.user.size() > kNameBytesMax || std::ranges::any_of(actor.user, control))
    return fail(Errc::kInvalidArgument, "caller: the user's name is too long, or has control characters");
  actor.admin = actor.uid == 0 || actor.uid == own_uid;
  return actor;
}

UserNames system_user_names() {
  const auto known = std::make_shared<std::unordered_map<std::uint32_t, std::string>>();
  return [known](std::uint32_t uid) {
    if (const auto found = known->find(uid); found != known->end()) return found->second;
    std::vector<char> buffer(16384);
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
      return std::to_string(uid);
    if (known->size() >= kNamesMax) known->clear();
    return (*known)[uid] = found->pw_name;
  };
}

}  // namespace ff::ctl
