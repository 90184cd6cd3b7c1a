// UserRegistry: the users of a file system and the digests of their tokens, as records of a KvStore (meta.md).
//
// Atomic     Each call is one transaction; those that change something may be repeated.
// Bounds     kTokensOfUser of one user: what expired makes room. Requests are checked here, whoever sends them.
// Errors     kInvalidArgument, kNotFound, kAlreadyExists, kExhausted with a sentence; else the store's.
// Threads    Those of the Env. Ownership: Env and store outlive it. Who may ask for what is not decided here.
#pragma once

#include <optional>
#include <string>

#include "ffs/meta/records.hpp"
#include "ffs/meta/user_token.hpp"
#include "ffs/meta/users.pb.h"
#include "libcommon/kv/kv_store.hpp"

namespace ff::ffs {

inline constexpr int kTokensOfUser = 32;
inline constexpr int kGroupsOfUser = 64;
inline constexpr std::size_t kUserNameBytesMax = 32;
inline constexpr std::size_t kTokenLabelBytesMax = 100;
inline constexpr std::uint64_t kTokenValidSecondsMax = 10ull * 366 * 86'400;

// What a token stands for.
struct TokenOwner {
  TokenRecord token;
  UserRecord user;
};

class UserRegistry {
 public:
  UserRegistry(runtime::Env& env, kv::KvStore& store, runtime::Duration timeout = std::chrono::seconds(10));

  // kAlreadyExists: another user of the name is there, without `replace`.
  runtime::Task<Result<>> add_user(UserInfo user, bool replace);
  runtime::Task<Result<RemoveUserReply>> remove_user(std::string name);
  runtime::Task<Result<ListUsersReply>> list_users(std::string after, std::uint32_t limit);

  // kNotFound: no such user. kAlreadyExists: another token has the digest's first bytes.
  runtime::Task<Result<TokenInfo>> add_token(AddTokenRequest request);
  runtime::Task<Result<ListTokensReply>> list_tokens(std::string name, std::uint64_t after, std::uint32_t limit);
  runtime::Task<Result<RevokeTokenReply>> revoke_token(std::uint64_t token);

  // Expired ones too. Nothing: no user has such a token.
  runtime::Task<Result<std::optional<TokenOwner>>> find(net::Digest digest);

  bool expired(const TokenRecord& token) const noexcept {
    return token.expires() != 0 && token.expires() <= wall_now();
  }
  std::int64_t wall_now() const noexcept;

 private:
  TokenInfo info(std::uint64_t number, const TokenRecord& record) const;
  // Takes those that have expired out of the user's.
  runtime::Task<Result<>> drop_expired(kv::Transaction& transaction, UserRecord& user);

  runtime::Env& env_;
  kv::KvStore& store_;
  const kv::TransactOptions how_;
};

// 1 to kUserNameBytesMax of A-Z a-z 0-9 . _ -, the first none of . and -. kInvalidArgument.
Result<> check_user_name(std::string_view name);

}  // namespace ff::ffs
