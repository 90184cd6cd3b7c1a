#include "ffs/meta/identities.hpp"

#include <fmt/core.h>

#include "libcommon/base/duration.hpp"

namespace ff::ffs {

using runtime::Task;

Identities::Identities(runtime::Env& env, UserRegistry& registry, IdentitiesOptions options)
    : env_(env), registry_(registry), options_(options) {}

Task<Result<const TokenOwner*>> Identities::owner_of(std::string_view token) {
  if (token.empty()) {
    co_return fail(Errc::kPermission,
                   "this file system asks for a user token (give --token FILE or set FF_FFS_TOKEN_FILE; an "
                   "administrator makes one with `ffs user token`)");
  }
  if (token.size() != kTokenBytes) {
    co_return fail(Errc::kPermission, fmt::format("user token: of {} bytes, not {}", token.size(), kTokenBytes));
  }
  const net::Digest digest = token_digest(token);
  const std::uint64_t number = token_number(digest);
  auto found = known_.find(number);
  if (found == known_.end() || found->second.until <= env_.now() || !net::equal_secret(found->second.digest, digest)) {
    const runtime::Time asked = env_.now();  // what changes while the store answers counts as changed after
    FF_CO_TRY_ASSIGN(auto owner, co_await registry_.find(digest));
    if (!owner) {
      co_return fail(Errc::kPermission,
                     fmt::format("user token {}: not known here (revoked, or another file system's; ask an "
                                 "administrator for a new one)",
                                 token_number_text(number)));
    }
    remember(number, {.digest = digest, .owner = *std::move(owner), .until = asked + options_.remembered});
    found = known_.find(number);
  }
  const TokenOwner& owner = found->second.owner;
  if (registry_.expired(owner.token)) {
    const std::chrono::nanoseconds since(registry_.wall_now() - owner.token.expires());
    co_return fail(Errc::kPermission, fmt::format("user token {}: expired {} ago (ask an administrator for a new one)",
                                                  token_number_text(number), format_duration(since)));
  }
  co_return &owner;
}

// When the table is full, what is over goes; if that makes no room, all does, which costs one read for each token.
void Identities::remember(std::uint64_t number, Known known) {
  if (known_.size() >= options_.remembered_most) {
    const runtime::Time now = env_.now();
    std::erase_if(known_, [now](const auto& entry) { return entry.second.until <= now; });
    if (known_.size() >= options_.remembered_most) known_.clear();
  }
  known_.insert_or_assign(number, std::move(known));
}

Task<Result<>> Identities::admit(User& user) {
  if (takes_as_it_is(user)) co_return {};
  FF_CO_TRY_ASSIGN(const TokenOwner* const owner, co_await owner_of(user.token()));
  user.set_uid(owner->user.uid());
  user.set_gid(owner->user.gid());
  *user.mutable_groups() = owner->user.groups();
  user.clear_token();
  co_return {};
}

Task<Result<>> Identities::admit_admin(User user) {
  if (takes_as_it_is(user)) {
    if (user.uid() == 0) co_return {};
    co_return fail(Errc::kPermission, "administration: root alone may (or who shows the token of an administrator)");
  }
  FF_CO_TRY_ASSIGN(const TokenOwner* const owner, co_await owner_of(user.token()));
  if (!owner->user.admin()) {
    co_return fail(Errc::kPermission, fmt::format("administration: user {} is no administrator (one is made with `ffs "
                                                  "user add --admin`)",
                                                  owner->token.user()));
  }
  co_return {};
}

Task<Result<IdentifyReply>> Identities::identify(User user) {
  IdentifyReply reply;
  if (takes_as_it_is(user)) {
    reply.set_uid(user.uid());
    reply.set_gid(user.gid());
    *reply.mutable_groups() = user.groups();
    reply.set_admin(user.uid() == 0);
    co_return reply;
  }
  FF_CO_TRY_ASSIGN(const TokenOwner* const owner, co_await owner_of(user.token()));
  reply.set_name(owner->token.user());
  reply.set_uid(owner->user.uid());
  reply.set_gid(owner->user.gid());
  *reply.mutable_groups() = owner->user.groups();
  reply.set_admin(owner->user.admin());
  if (owner->token.expires() != 0) *reply.mutable_expires() = timestamp_of(owner->token.expires());
  co_return reply;
}

}  // namespace ff::ffs
