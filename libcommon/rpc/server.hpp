// Server: runs the methods of Services for clients on any number of listeners.
//
//   rpc::Server server(env, {.registry = &registry});
//   FF_TRY(server.add(counter, rpc::allow_roles({"meta", "client"})));
//   FF_CO_TRY_ASSIGN(auto at, co_await server.listen(address));
//   ...
//   co_await server.stop(5s);      // always, before the Server goes
//
// Handlers    One task a request, under a context with the request's deadline and trace; see server_call.hpp.
// Overload    Requests beyond options.admission are refused with kExhausted and advice when to try again; a connection
//             that has used up its share is not read until it has room (except while one of its calls waits for a
//             grant, which arrives on it). Answers that a client does not read are kept until the request's deadline,
//             counted as in flight; then its connection is closed.
// Repetition  A request with an idempotency key runs once: repeated attempts join it or get its stored answer. They
// count
//             as requests only while they are read; beyond ServerCall::kJoinedMax they are refused like an overload.
// Bad input   A connection that sends what no client of ours would is closed with kCorrupt, and counted.
// Side effect protobuf's own log on standard error is turned off for the process: it would print what peers send.
// Threads     Those of the Env, except the function that request_source() returns.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/metrics/pages.hpp"
#include "libcommon/metrics/registry.hpp"
#include "libcommon/net/network.hpp"
#include "libcommon/rpc/admission.hpp"
#include "libcommon/rpc/idempotency_cache.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::rpc {

class Service;
class ServerCore;

// May this peer call this service? The error is what the peer is told. Runs for every request: keep it cheap.
using Authorize = std::function<Result<>(const net::PeerIdentity&)>;
// Peers that have proved to hold the cluster key, with one of these roles.
Authorize allow_roles(std::initializer_list<std::string_view> roles);
// Peers on a Unix socket that run as this user, as the kernel says.
Authorize allow_local_user(std::uint32_t uid);

struct ServerOptions {
  AdmissionLimits admission;
  IdempotencyCacheOptions deduplication;
  // Of a request's message: protobuf's objects take up to some 30 times the bytes they are parsed from.
  std::size_t request_bytes_max = 1u << 20;
  std::size_t connections_max = 100'000;
  // Null: no metrics. Else rpc_server_* with labels service and method; outlives the Server.
  metrics::Registry* registry = nullptr;
};

class Server {
 public:
  Server(runtime::Env& env, const ServerOptions& options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before the first connection. The service outlives the Server. kAlreadyExists: a method with this id is there (the
  // same service twice, or two names with one checksum: rename one); errors of the registry.
  Result<> add(Service& service, Authorize authorize = {});

  // Listens through the Env's network; the address with its real port.
  runtime::Task<Result<net::Address>> listen(net::Address at);
  // The same for a listener made elsewhere.
  void serve(std::unique_ptr<net::Listener> listener);

  // Refuses new requests, lets those in flight end for at most `drain`, cancels the rest, closes all connections.
  // Returns when nothing of the Server runs any more. Repeating it is harmless.
  runtime::Task<void> stop(runtime::Duration drain);

  std::size_t in_flight() const noexcept;
  std::size_t connections() const noexcept;
  // The requests in flight, oldest first, at most `max`.
  std::vector<metrics::RequestRow> request_rows(std::size_t max) const;
  // For metrics::HttpServer::add_requests(): the oldest kRequestRowsMax and the number of all. May be called on any
  // thread, at any time, also after the Server has gone (no rows then). Asks the Env's thread and waits at most
  // `patience`; without an answer it gives no rows.
  std::function<metrics::RequestList()> request_source(
      runtime::Duration patience = std::chrono::milliseconds(500)) const;

 private:
  static runtime::Task<void> accept_loop(ServerCore* core, std::unique_ptr<net::Listener> listener);

  std::unique_ptr<ServerCore> core_;
  std::shared_ptr<const Server* const> self_;  // what request_source() holds weakly
};

}  // namespace ff::rpc
