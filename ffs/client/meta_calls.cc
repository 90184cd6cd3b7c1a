#include "ffs/client/meta_calls.hpp"

#include <fmt/core.h>

#include <utility>

#include "ffs/meta/repetition.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

// One service may be slow or just gone: another is asked after this long.
constexpr runtime::Duration kAttempt = 3s;
constexpr runtime::Duration kPause = 50ms;
constexpr runtime::Duration kRoutingWait = 500ms;

bool passes(Errc code) {
  return code == Errc::kUnavailable || code == Errc::kExhausted || code == Errc::kTimeout || code == Errc::kUnsupported;
}

}  // namespace

Result<> result_of(const Status& status) {
  if (status.posix() == 0) return {};
  Error error = errno_error("", static_cast<int>(status.posix()));
  return fail(error.code(), status.detail().empty() ? error.message().substr(2) : status.detail(), error.sys_errno());
}

MetaCalls::MetaCalls(runtime::Env& env, RoutingSource& routing, Caller caller, std::uint64_t client,
                     runtime::Duration timeout)
    : env_(env), routing_(routing), caller_(std::move(caller)), client_(client), timeout_(timeout) {
  FF_ASSERT(client != 0);
  turn_ = env.rng().next();  // clients spread over the services
}

MetaCalls::~MetaCalls() = default;

Task<void> MetaCalls::stop() {
  const auto services = std::exchange(services_, {});
  for (const auto& [node, clients] : services) {
    for (const auto& client : clients) co_await client->stop();
  }
}

Result<rpc::Client*> MetaCalls::service() {
  const auto view = routing_.current();
  if (view == nullptr) return fail(Errc::kUnavailable, "metadata: no manager has answered yet");
  const std::vector<NodeId> nodes = view->nodes_with(ROLE_METAD);
  if (nodes.empty()) return fail(Errc::kUnavailable, "metadata: no service is alive (start one with the role metad)");
  const NodeId node = nodes[turn_ % nodes.size()];
  const net::PeerAddress* const address = view->address_of(node);
  if (address == nullptr)
    return fail(Errc::kUnavailable, fmt::format("metadata: node {} has no address", number(node)));
  auto& clients = services_[node];
  for (const auto& client : clients) {
    if (client->peer() == *address) return client.get();
  }
  return clients.emplace_back(std::make_unique<rpc::Client>(env_, *address)).get();
}

void MetaCalls::avoid_current() { ++turn_; }

template <class Request>
void MetaCalls::sign(Request& request) {
  if constexpr (requires { request.mutable_user(); }) {
    User& user = *request.mutable_user();
    user.set_uid(caller_.uid);
    user.set_gid(caller_.gid);
    user.mutable_groups()->Assign(caller_.groups.begin(), caller_.groups.end());
    user.set_token(caller_.token);
  }
  if constexpr (requires { request.mutable_request(); }) {
    request.mutable_request()->set_client(client_);
    request.mutable_request()->set_sequence(++sequence_);
  }
  if constexpr (requires { request.set_client(client_); }) request.set_client(client_);
}

template <class Stub, class Reply, class Request>
Task<Result<Reply>> MetaCalls::call(Method<Stub, Reply, Request> method, Request request) {
  sign(request);
  constexpr bool kTagged = requires { request.mutable_request(); };
  runtime::Time until = runtime::saturating_add(env_.now(), timeout_);
  bool may_have_run = false;
  while (true) {
    Error error(Errc::kTimeout, "metadata: no answer");
    Result<rpc::Client*> service = this->service();
    if (service) {
      const runtime::Time sent = env_.now();
      bool reached = false;
      Result<Reply> reply = co_await (Stub(**service).*method)(request, {.timeout = std::min(until - sent, kAttempt),
                                                                         .attempts = 2,
                                                                         .wait_for_connection = false,
                                                                         .may_have_run = &reached});
      if (reply) {
        if constexpr (requires { reply->status(); }) FF_CO_TRY(result_of(reply->status()));
        co_return std::move(*reply);
      }
      if (!passes(reply.error().code())) co_return fail(std::move(reply).error());
      if (kTagged && reached && !may_have_run) {
        may_have_run = true;
        until = std::min(until, runtime::saturating_add(sent, kRepeatedMost));
      }
      error = std::move(reply).error();
      avoid_current();
    } else {
      error = std::move(service).error();
      const auto view = routing_.current();
      (void)co_await routing_.newer_than(view == nullptr ? 0 : view->version(), kRoutingWait);
    }
    if (env_.now() + kPause >= until) {
      if (may_have_run) error = std::move(error).context("it may have been carried out");
      co_return fail(std::move(error));
    }
    FF_CO_TRY(co_await runtime::sleep(kPause));
  }
}

Task<Result<StatReply>> MetaCalls::stat(StatRequest request) {
  co_return co_await call(&MetaClient::stat, std::move(request));
}
Task<Result<BatchStatReply>> MetaCalls::batch_stat(BatchStatRequest request) {
  co_return co_await call(&MetaClient::batch_stat, std::move(request));
}
Task<Result<ListReply>> MetaCalls::list(ListRequest request) {
  co_return co_await call(&MetaClient::list, std::move(request));
}
Task<Result<OpenReply>> MetaCalls::open(OpenRequest request) {
  co_return co_await call(&MetaClient::open, std::move(request));
}
Task<Result<CloseReply>> MetaCalls::close(CloseRequest request) {
  co_return co_await call(&MetaClient::close, std::move(request));
}
Task<Result<EntryReply>> MetaCalls::make_directory(MakeDirectoryRequest request) {
  co_return co_await call(&MetaClient::make_directory, std::move(request));
}
Task<Result<EntryReply>> MetaCalls::make_symlink(MakeSymlinkRequest request) {
  co_return co_await call(&MetaClient::make_symlink, std::move(request));
}
Task<Result<EntryReply>> MetaCalls::link(LinkRequest request) {
  co_return co_await call(&MetaClient::link, std::move(request));
}
Task<Result<EntryReply>> MetaCalls::remove(RemoveRequest request) {
  co_return co_await call(&MetaClient::remove, std::move(request));
}
Task<Result<EntryReply>> MetaCalls::rename(RenameRequest request) {
  co_return co_await call(&MetaClient::rename, std::move(request));
}
Task<Result<StatReply>> MetaCalls::set_attributes(SetAttributesRequest request) {
  co_return co_await call(&MetaClient::set_attributes, std::move(request));
}
Task<Result<StatReply>> MetaCalls::truncate(TruncateRequest request) {
  co_return co_await call(&MetaClient::truncate, std::move(request));
}
Task<Result<XattrReply>> MetaCalls::xattr(XattrRequest request) {
  co_return co_await call(&MetaClient::xattr, std::move(request));
}
Task<Result<QuotaReply>> MetaCalls::quota(QuotaRequest request) {
  co_return co_await call(&MetaClient::quota, std::move(request));
}
Task<Result<StatFsReply>> MetaCalls::stat_fs() { co_return co_await call(&MetaClient::stat_fs, StatFsRequest()); }

Task<Result<AddUserReply>> MetaCalls::add_user(AddUserRequest request) {
  co_return co_await call(&UsersClient::add_user, std::move(request));
}
Task<Result<RemoveUserReply>> MetaCalls::remove_user(RemoveUserRequest request) {
  co_return co_await call(&UsersClient::remove_user, std::move(request));
}
Task<Result<ListUsersReply>> MetaCalls::list_users(ListUsersRequest request) {
  co_return co_await call(&UsersClient::list_users, std::move(request));
}
Task<Result<AddTokenReply>> MetaCalls::add_token(AddTokenRequest request) {
  co_return co_await call(&UsersClient::add_token, std::move(request));
}
Task<Result<ListTokensReply>> MetaCalls::list_tokens(ListTokensRequest request) {
  co_return co_await call(&UsersClient::list_tokens, std::move(request));
}
Task<Result<RevokeTokenReply>> MetaCalls::revoke_token(RevokeTokenRequest request) {
  co_return co_await call(&UsersClient::revoke_token, std::move(request));
}
Task<Result<IdentifyReply>> MetaCalls::identify() {
  co_return co_await call(&UsersClient::identify, IdentifyRequest());
}

}  // namespace ff::ffs
