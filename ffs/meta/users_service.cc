#include "ffs/meta/users_service.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<AddUserReply>> UsersAdministration::add_user(rpc::ServerCall&, const AddUserRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  FF_CO_TRY(co_await registry_.add_user(request.added(), request.replace()));
  identities_.forget();
  co_return AddUserReply();
}

Task<Result<RemoveUserReply>> UsersAdministration::remove_user(rpc::ServerCall&, const RemoveUserRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  auto reply = co_await registry_.remove_user(request.name());
  identities_.forget();
  co_return reply;
}

Task<Result<ListUsersReply>> UsersAdministration::list_users(rpc::ServerCall&, const ListUsersRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  co_return co_await registry_.list_users(request.after(), request.limit());
}

Task<Result<AddTokenReply>> UsersAdministration::add_token(rpc::ServerCall&, const AddTokenRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  AddTokenReply reply;
  FF_CO_TRY_ASSIGN(*reply.mutable_token(), co_await registry_.add_token(request));
  co_return reply;
}

Task<Result<ListTokensReply>> UsersAdministration::list_tokens(rpc::ServerCall&, const ListTokensRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  co_return co_await registry_.list_tokens(request.name(), request.after(), request.limit());
}

Task<Result<RevokeTokenReply>> UsersAdministration::revoke_token(rpc::ServerCall&, const RevokeTokenRequest& request) {
  FF_CO_TRY(co_await identities_.admit_admin(request.user()));
  auto reply = co_await registry_.revoke_token(request.token());
  identities_.forget();
  co_return reply;
}

Task<Result<IdentifyReply>> UsersAdministration::identify(rpc::ServerCall&, const IdentifyRequest& request) {
  co_return co_await identities_.identify(request.user());
}

}  // namespace ff::ffs
