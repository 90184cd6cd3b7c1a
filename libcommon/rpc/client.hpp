// Client: calls methods on one peer. Many calls at once over one connection (one a traffic class), which is made on the
// first call and again, with jittered back-off, when it is lost.
//
//   rpc::Client client(env, peer);
//   CounterClient counter(client);                                      // generated
//   FF_CO_TRY_ASSIGN(auto reply, co_await counter.increment(request));
//   co_await client.stop();                                             // always, before the Client goes
//
// Deadlines   Every call has one. What is left of it travels, so that handlers and what they call end with it.
// Cancelling  When the caller's context is cancelled the server is told, exposed memory is taken back, and then the
//             call returns.
// Retries     retry.hpp; the same idempotency key for all attempts.
// Errors      Those of the handler, and: kTimeout; kUnavailable (no connection, connection lost); kExhausted (the
// server
//             is overloaded); kUnsupported (the server lacks the method); kInvalidArgument (request too large);
//             kCorrupt (the answer is no such message). Each begins with "package.Service/Method at PEER".
// Memory      The request and the options' spans stay until the call has returned.
// Threads     Those of the Env.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>

#include "libcommon/net/network.hpp"
#include "libcommon/rpc/call_options.hpp"
#include "libcommon/rpc/grant_scheduler.hpp"
#include "libcommon/rpc/method.hpp"
#include "libcommon/rpc/retry.hpp"
#include "libcommon/runtime/scope.hpp"

namespace google::protobuf {
class MessageLite;
}

namespace ff::rpc {

class ClientLink;

struct ClientOptions {
  // Servers ask before they push kGrantBytesMin or more to us; see grant_window.hpp.
  bool grants = true;
  runtime::Duration connect_timeout = std::chrono::seconds(5);
  runtime::Duration reconnect_base = std::chrono::milliseconds(20);
  runtime::Duration reconnect_most = std::chrono::seconds(2);
  runtime::Duration retry_base = std::chrono::milliseconds(10);
  runtime::Duration retry_most = std::chrono::seconds(1);
  // Beyond it: kExhausted.
  std::size_t calls_max = 65536;
};

class Client {
 public:
  Client(runtime::Env& env, net::PeerAddress peer, const ClientOptions& options = {});
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The typed calls are made of this.
  runtime::Task<Result<>> call(const MethodInfo& method, const google::protobuf::MessageLite& request,
                               google::protobuf::MessageLite& reply, const CallOptions& options);

  // Closes the connections; calls in flight end with kUnavailable.
  runtime::Task<void> stop();

  runtime::Env& env() const noexcept { return env_; }
  const net::PeerAddress& peer() const noexcept { return peer_; }
  const ClientOptions& options() const noexcept { return options_; }
  std::size_t in_flight() const noexcept;
  // Null before the first call of this class, and while there is none.
  std::shared_ptr<net::Connection> connection(net::TrafficClass traffic) const noexcept;

 private:
  friend class ClientLink;
  struct Operation;  // one call() and what its attempts share

  runtime::Task<Result<>> connect(Operation& op);
  // One attempt with exposed memory.
  runtime::Task<Result<>> exchange_bulk(Operation& op);
  // Waits until the next attempt may begin, or gives the error that ends the call.
  runtime::Task<Result<>> retry(Operation& op, Error error);
  Result<> begin(Operation& op);
  runtime::Task<Result<>> wait_to_send(Operation& op);
  void enter_key(Operation& op);
  void leave_key(const Operation& op);
  ClientLink& link(net::TrafficClass traffic);

  runtime::Env& env_;
  const net::PeerAddress peer_;
  const ClientOptions options_;
  std::shared_ptr<GrantScheduler> grants_;
  RetryBudget budget_;
  std::uint64_t key_client_ = 0;
  std::uint64_t key_sequence_ = 0;
  std::set<std::uint64_t> key_open_;  // sequences in use
  bool stopping_ = false;
  std::array<std::unique_ptr<ClientLink>, net::kTrafficClasses.size()> links_;
  runtime::Scope scope_;  // connecting; the first to be destroyed
};

// What generated clients call.
template <class Reply, class Request>
runtime::Task<Result<Reply>> call(Client& client, const MethodInfo& method, const Request& request,
                                  CallOptions options) {
  Result<Reply> reply;
  if (Result<> done = co_await client.call(method, request, *reply, options); !done)
    reply = std::unexpected(std::move(done).error());
  co_return reply;
}

}  // namespace ff::rpc
