#include "ffs/daemon/administrator_check.hpp"

#include <fmt/core.h>

#include <utility>

#include "ffs/meta/users.ff.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

// Clients give a manager two seconds before they ask another.
constexpr runtime::Duration kAttempt = 700ms;

Result<> judge(const IdentifyReply& who) {
  if (who.admin()) return {};
  return fail(Errc::kPermission, fmt::format("administration: user {} is no administrator (one is made with `ffs user "
                                             "add --admin`)",
                                             who.name()));
}

}  // namespace

rpc::Client& AdministratorCheck::client_of(const net::PeerAddress& address) {
  auto& client = clients_[address.text()];
  if (client == nullptr) client = std::make_unique<rpc::Client>(env_, address);
  return *client;
}

Task<Result<>> AdministratorCheck::check(std::string token) {
  if (token.empty()) {
    co_return fail(Errc::kPermission,
                   "administration: this file system asks for the token of an administrator (give --token FILE or set "
                   "FF_FFS_TOKEN_FILE)");
  }
  IdentifyRequest request;
  request.mutable_user()->set_token(std::move(token));
  const auto view = routing_.current();
  if (view != nullptr) {
    for (const NodeId node : view->nodes_with(ROLE_METAD)) {
      const net::PeerAddress* const address = view->address_of(node);
      if (address == nullptr) continue;
      const auto who = co_await UsersClient(client_of(*address))
                           .identify(request, {.timeout = kAttempt, .attempts = 1, .wait_for_connection = true});
      if (who) co_return judge(*who);
      if (who.error().code() == Errc::kPermission) co_return fail(Errc::kPermission, who.error().message());
    }
  }
  co_return fail(Errc::kUnavailable,
                 "administration: no metadata service could tell whose token this is (is one with the role metad up?)");
}

Task<void> AdministratorCheck::stop() {
  const auto clients = std::exchange(clients_, {});
  for (const auto& [address, client] : clients) co_await client->stop();
}

}  // namespace ff::ffs
