// UsersAdministration: the registry of users and tokens as the RPC service of users.proto, for administrators.
//
// Lifetime  Beside a NamespaceService, whose Identities and registry outlive it. Threads: those of the Env.
#pragma once

#include "ffs/meta/identities.hpp"
#include "ffs/meta/users.ff.hpp"

namespace ff::ffs {

class UsersAdministration final : public UsersService {
 public:
  UsersAdministration(UserRegistry& registry, Identities& identities) : registry_(registry), identities_(identities) {}

  runtime::Task<Result<AddUserReply>> add_user(rpc::ServerCall& call, const AddUserRequest& request) override;
  runtime::Task<Result<RemoveUserReply>> remove_user(rpc::ServerCall& call, const RemoveUserRequest& request) override;
  runtime::Task<Result<ListUsersReply>> list_users(rpc::ServerCall& call, const ListUsersRequest& request) override;
  runtime::Task<Result<AddTokenReply>> add_token(rpc::ServerCall& call, const AddTokenRequest& request) override;
  runtime::Task<Result<ListTokensReply>> list_tokens(rpc::ServerCall& call, const ListTokensRequest& request) override;
  runtime::Task<Result<RevokeTokenReply>> revoke_token(rpc::ServerCall& call,
                                                       const RevokeTokenRequest& request) override;
  runtime::Task<Result<IdentifyReply>> identify(rpc::ServerCall& call, const IdentifyRequest& request) override;

 private:
  UserRegistry& registry_;
  Identities& identities_;
};

}  // namespace ff::ffs
