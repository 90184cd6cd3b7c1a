#include "ffs/meta/user_registry.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "ffs/meta/keys.hpp"
#include "ffs/meta/rules.hpp"

namespace ff::ffs {

using kv::Transaction;
using runtime::Task;

namespace {

constexpr std::uint32_t kListMost = 1000;

std::uint32_t list_limit(std::uint32_t wanted) { return wanted == 0 ? kListMost : std::min(wanted, kListMost); }

std::unexpected<Error> no_such_user(std::string_view name) {
  return fail(Errc::kNotFound, fmt::format("user {}: there is none (`ffs user list` shows all)", printable_name(name)));
}

Task<Result<std::optional<UserRecord>>> find_user(Transaction& transaction, std::string name) {
  FF_CO_TRY_ASSIGN(const auto value, co_await transaction.get(keys::user(name)));
  if (!value) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(UserRecord record, decode_record<UserRecord>(*value, "user"));
  co_return record;
}

Task<Result<std::optional<TokenRecord>>> find_token(Transaction& transaction, std::uint64_t number) {
  FF_CO_TRY_ASSIGN(const auto value, co_await transaction.get(keys::token(number)));
  if (!value) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(TokenRecord record, decode_record<TokenRecord>(*value, "token"));
  co_return record;
}

Result<> check_user(const UserInfo& user) {
  FF_TRY(check_user_name(user.name()));
  const auto is_number = [](std::uint32_t id) { return id != std::numeric_limits<std::uint32_t>::max(); };
  if (!is_number(user.uid()) || !is_number(user.gid()) || !std::ranges::all_of(user.groups(), is_number)) {
    return fail(Errc::kInvalidArgument,
                fmt::format("user {}: {} is no uid or gid", user.name(), std::numeric_limits<std::uint32_t>::max()));
  }
  if (user.groups_size() > kGroupsOfUser) {
    return fail(Errc::kInvalidArgument,
                fmt::format("user {}: {} groups, {} are the most", user.name(), user.groups_size(), kGroupsOfUser));
  }
  return {};
}

Result<> check_token(const AddTokenRequest& request) {
  FF_TRY(check_user_name(request.name()));
  if (request.digest().size() != std::tuple_size_v<net::Digest>) {
    return fail(Errc::kInvalidArgument, fmt::format("token: a digest of {} bytes", request.digest().size()));
  }
  if (request.label().size() > kTokenLabelBytesMax) {
    return fail(Errc::kInvalidArgument, fmt::format("token: a label of {} bytes, {} are the most",
                                                    request.label().size(), kTokenLabelBytesMax));
  }
  if (std::ranges::any_of(request.label(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return fail(Errc::kInvalidArgument, "token: a label with control characters");
  }
  if (request.valid_seconds() > kTokenValidSecondsMax) {
    return fail(Errc::kInvalidArgument, "token: valid for more than ten years (0: until it is revoked)");
  }
  return {};
}

UserRecord record_of(const UserInfo& user) {
  UserRecord record;
  record.set_uid(user.uid());
  record.set_gid(user.gid());
  *record.mutable_groups() = user.groups();
  record.set_admin(user.admin());
  return record;
}

bool same_rights(const UserRecord& a, const UserRecord& b) {
  return a.uid() == b.uid() && a.gid() == b.gid() && std::ranges::equal(a.groups(), b.groups()) &&
         a.admin() == b.admin();
}

UserInfo info_of(std::string_view name, const UserRecord& record) {
  UserInfo info;
  info.set_name(std::string(name));
  info.set_uid(record.uid());
  info.set_gid(record.gid());
  *info.mutable_groups() = record.groups();
  info.set_admin(record.admin());
  *info.mutable_created() = timestamp_of(record.created());
  info.set_tokens(static_cast<std::uint32_t>(record.tokens_size()));
  return info;
}

net::Digest digest_of(std::string_view bytes) {
  net::Digest digest{};
  std::ranges::copy(std::as_bytes(std::span(bytes)), digest.begin());
  return digest;
}

bool has_digest(const TokenRecord& record, const net::Digest& digest) {
  return net::equal_secret(std::as_bytes(std::span(record.digest())), digest);
}

}  // namespace

Result<> check_user_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (name.empty() || name.size() > kUserNameBytesMax || !std::ranges::all_of(name, fits) || name.front() == '.' ||
      name.front() == '-') {
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}': no name for a user (1 to {} of A-Z a-z 0-9 . _ -, not beginning with . or -)",
                            printable_name(name), kUserNameBytesMax));
  }
  return {};
}

UserRegistry::UserRegistry(runtime::Env& env, kv::KvStore& store, runtime::Duration timeout)
    : env_(env), store_(store), how_{.timeout = timeout, .retry_maybe_committed = true} {}

std::int64_t UserRegistry::wall_now() const noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(env_.wall_now().time_since_epoch()).count();
}

TokenInfo UserRegistry::info(std::uint64_t number, const TokenRecord& record) const {
  TokenInfo info;
  info.set_token(number);
  info.set_user(record.user());
  info.set_label(record.label());
  *info.mutable_created() = timestamp_of(record.created());
  if (record.expires() != 0) *info.mutable_expires() = timestamp_of(record.expires());
  info.set_expired(expired(record));
  return info;
}

Task<Result<>> UserRegistry::add_user(UserInfo user, bool replace) {
  FF_CO_TRY(check_user(user));
  co_return co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<>> {
    UserRecord record = record_of(user);
    record.set_created(wall_now());
    FF_CO_TRY_ASSIGN(const auto there, co_await find_user(transaction, user.name()));
    if (there && same_rights(*there, record)) co_return {};
    if (there && !replace) {
      co_return fail(
          Errc::kAlreadyExists,
          fmt::format("user {}: is there, with other numbers or rights (--replace changes them)", user.name()));
    }
    if (there) {
      record.set_created(there->created());
      *record.mutable_tokens() = there->tokens();
    }
    transaction.set(keys::user(user.name()), encode_record(record));
    co_return {};
  });
}

Task<Result<RemoveUserReply>> UserRegistry::remove_user(std::string name) {
  FF_CO_TRY(check_user_name(name));
  RemoveUserReply reply;  // tells what any attempt found: one whose outcome was not known may have removed it
  FF_CO_TRY(co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto user, co_await find_user(transaction, name));
    if (!user) co_return {};
    reply.set_removed(true);
    reply.set_tokens(static_cast<std::uint32_t>(user->tokens_size()));
    for (const std::uint64_t token : user->tokens()) transaction.clear(keys::token(token));
    transaction.clear(keys::user(name));
    co_return {};
  }));
  co_return reply;
}

Task<Result<ListUsersReply>> UserRegistry::list_users(std::string after, std::uint32_t limit) {
  co_return co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<ListUsersReply>> {
    FF_CO_TRY_ASSIGN(const auto found,
                     co_await transaction.get_range(after.empty() ? keys::users() : keys::users_after(after),
                                                    {.limit = list_limit(limit), .mode = kv::Read::kSnapshot}));
    ListUsersReply reply;
    for (const kv::KeyValue& pair : found.pairs) {
      FF_CO_TRY_ASSIGN(const UserRecord record, decode_record<UserRecord>(pair.value, "user"));
      *reply.add_users() = info_of(keys::user_name(pair.key), record);
    }
    reply.set_more(found.more);
    co_return reply;
  });
}

Task<Result<>> UserRegistry::drop_expired(Transaction& transaction, UserRecord& user) {
  UserRecord kept = user;
  kept.clear_tokens();
  for (const std::uint64_t number : user.tokens()) {
    // The user's record is read in conflicting mode, and whoever changes a token of the user writes that.
    FF_CO_TRY_ASSIGN(const auto value, co_await transaction.get(keys::token(number), kv::Read::kSnapshot));
    if (!value) continue;
    FF_CO_TRY_ASSIGN(const TokenRecord token, decode_record<TokenRecord>(*value, "token"));
    if (expired(token)) {
      transaction.clear(keys::token(number));
    } else {
      kept.add_tokens(number);
    }
  }
  user = std::move(kept);
  co_return {};
}

Task<Result<TokenInfo>> UserRegistry::add_token(AddTokenRequest request) {
  FF_CO_TRY(check_token(request));
  const net::Digest digest = digest_of(request.digest());
  const std::uint64_t number = token_number(digest);
  co_return co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<TokenInfo>> {
    FF_CO_TRY_ASSIGN(auto user, co_await find_user(transaction, request.name()));
    if (!user) co_return no_such_user(request.name());
    FF_CO_TRY_ASSIGN(const auto there, co_await find_token(transaction, number));
    if (there && has_digest(*there, digest) && there->user() == request.name()) co_return info(number, *there);
    if (there) co_return fail(Errc::kAlreadyExists, "token: the number is another's (make a new one)");
    FF_CO_TRY(co_await drop_expired(transaction, *user));
    if (user->tokens_size() >= kTokensOfUser) {
      co_return fail(Errc::kExhausted, fmt::format("user {}: has {} tokens, no more fit (revoke one: `ffs user "
                                                   "token-list {}` shows them)",
                                                   request.name(), user->tokens_size(), request.name()));
    }
    TokenRecord record;
    record.set_digest(request.digest());
    record.set_user(request.name());
    record.set_label(request.label());
    record.set_created(wall_now());
    if (request.valid_seconds() != 0) {
      constexpr std::int64_t kSecond = 1'000'000'000;
      record.set_expires(record.created() + static_cast<std::int64_t>(request.valid_seconds()) * kSecond);
    }
    user->add_tokens(number);
    transaction.set(keys::token(number), encode_record(record));
    transaction.set(keys::user(request.name()), encode_record(*user));
    co_return info(number, record);
  });
}

Task<Result<ListTokensReply>> UserRegistry::list_tokens(std::string name, std::uint64_t after, std::uint32_t limit) {
  if (!name.empty()) FF_CO_TRY(check_user_name(name));
  co_return co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<ListTokensReply>> {
    ListTokensReply reply;
    if (!name.empty()) {
      FF_CO_TRY_ASSIGN(const auto user, co_await find_user(transaction, name));
      if (!user) co_return no_such_user(name);
      std::vector<std::uint64_t> numbers(user->tokens().begin(), user->tokens().end());
      std::ranges::sort(numbers);
      for (const std::uint64_t number : numbers) {
        if (number <= after && after != 0) continue;
        FF_CO_TRY_ASSIGN(const auto token, co_await find_token(transaction, number));
        if (token) *reply.add_tokens() = info(number, *token);
        reply.set_last(number);
      }
      co_return reply;
    }
    FF_CO_TRY_ASSIGN(const auto found,
                     co_await transaction.get_range(after == 0 ? keys::tokens() : keys::tokens_after(after),
                                                    {.limit = list_limit(limit), .mode = kv::Read::kSnapshot}));
    for (const kv::KeyValue& pair : found.pairs) {
      FF_CO_TRY_ASSIGN(const TokenRecord record, decode_record<TokenRecord>(pair.value, "token"));
      const std::uint64_t number = keys::number_at(pair.key, keys::kPrefixBytes);
      *reply.add_tokens() = info(number, record);
      reply.set_last(number);
    }
    reply.set_more(found.more);
    co_return reply;
  });
}

Task<Result<RevokeTokenReply>> UserRegistry::revoke_token(std::uint64_t token) {
  RevokeTokenReply reply;
  FF_CO_TRY(co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto record, co_await find_token(transaction, token));
    if (!record) co_return {};
    reply.set_revoked(true);
    transaction.clear(keys::token(token));
    FF_CO_TRY_ASSIGN(auto user, co_await find_user(transaction, record->user()));
    if (!user) co_return {};
    const auto gone = std::ranges::remove(*user->mutable_tokens(), token);
    user->mutable_tokens()->erase(gone.begin(), gone.end());
    transaction.set(keys::user(record->user()), encode_record(*user));
    co_return {};
  }));
  co_return reply;
}

Task<Result<std::optional<TokenOwner>>> UserRegistry::find(net::Digest digest) {
  using Found = std::optional<TokenOwner>;
  co_return co_await kv::transact(env_, store_, how_, [&](Transaction& transaction) -> Task<Result<Found>> {
    FF_CO_TRY_ASSIGN(auto token, co_await find_token(transaction, token_number(digest)));
    if (!token || !has_digest(*token, digest)) co_return Found();
    FF_CO_TRY_ASSIGN(auto user, co_await find_user(transaction, token->user()));
    if (!user) co_return Found();
    co_return Found(TokenOwner{.token = std::move(*token), .user = std::move(*user)});
  });
}

}  // namespace ff::ffs
