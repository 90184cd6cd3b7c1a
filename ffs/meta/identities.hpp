// Identities: who a request comes from. By its token, whatever else it claims; without one, by what it claims, unless
// the file system asks for tokens.
//
// Cost       A hash of 32 bytes and a look into a bounded table; the store is asked once for each token and
//            options.remembered. A token that is not known is asked for each time: that is one read, and no more
//            memory.
// Revoked    tokens, and changed users, count everywhere within options.remembered; at the service that was told, at
//            once. Expiry is looked at for each request, by this service's wall clock.
// Errors     kPermission says what is wrong with the token and what to do; it never holds bytes of it. Else the
// store's. Threads    Those of the Env. Ownership: Env and registry outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "ffs/meta/user_registry.hpp"

namespace ff::ffs {

struct IdentitiesOptions {
  bool required = false;  // a token, of everybody
  runtime::Duration remembered = std::chrono::seconds(2);
  std::size_t remembered_most = 4096;  // tokens
};

class Identities {
 public:
  Identities(runtime::Env& env, UserRegistry& registry, IdentitiesOptions options = {});

  // kPermission. `user` becomes who its token was made for, without the token.
  runtime::Task<Result<>> admit(User& user);
  // admit() would have nothing to do: no token, and none is asked for.
  bool takes_as_it_is(const User& user) const noexcept { return !options_.required && user.token().empty(); }
  // kPermission for everybody but administrators: of a token, the role; else, uid 0.
  runtime::Task<Result<>> admit_admin(User user);
  // Who `user` is taken for; kPermission.
  runtime::Task<Result<IdentifyReply>> identify(User user);

  // Something of the registry was changed here.
  void forget() noexcept { known_.clear(); }
  std::size_t remembered() const noexcept { return known_.size(); }

 private:
  struct Known {
    net::Digest digest{};
    TokenOwner owner;
    runtime::Time until{};
  };
  // Valid until the next call.
  runtime::Task<Result<const TokenOwner*>> owner_of(std::string_view token);
  void remember(std::uint64_t number, Known known);

  runtime::Env& env_;
  UserRegistry& registry_;
  const IdentitiesOptions options_;
  std::unordered_map<std::uint64_t, Known> known_;  // by token number
};

}  // namespace ff::ffs
