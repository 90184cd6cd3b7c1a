// What the parts of a Server share; for this folder only.
//
// Lifetime  A ServerLink lives until its connection is closed and no call refers to it; a ServerCall until its task has
//           ended. The Server joins all of them before it goes (in a simulation that kills a node, frames go first).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "libcommon/metrics/sharded.hpp"
#include "libcommon/rpc/admission.hpp"
#include "libcommon/rpc/idempotency_cache.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/rpc/service.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::rpc {

struct ServiceState {
  Service* service = nullptr;
  Authorize authorize;
};

struct MethodState {
  const Method* method = nullptr;
  ServiceState* service = nullptr;
  metrics::Counter requests;
  metrics::Counter errors;
  metrics::Recorder latency;
  metrics::Gauge in_flight;
};

// One connection of a client.
class ServerLink final : public net::ConnectionHandler, public runtime::ListHook<ServerLink> {
 public:
  ServerLink(ServerCore& core, std::shared_ptr<net::Connection> connection);
  ~ServerLink();
  void start() { connection_->start(*this); }
  void close(const Error& why);

  net::Connection& connection() const noexcept { return *connection_; }
  const std::shared_ptr<net::Connection>& shared_connection() const noexcept { return connection_; }
  bool closed() const noexcept { return closed_; }

  // False when the peer reads too slowly to take it now; the message is still there then.
  bool send(net::Message& message);
  // For answers to what no handler saw.
  void refuse(std::uint64_t id, Errc code, std::uint32_t retry_after_ms, std::string_view text);

  void call_started() noexcept { ++calls_; }
  void call_ended(std::uint64_t charged_bytes);
  void waiting_for_grant(bool begins);
  void add(ServerCall::Requester& requester) noexcept { requesters_.push_back(requester); }

 private:
  void on_message(net::Connection& connection, std::span<const std::byte> message) override;
  void on_closed(net::Connection& connection, const Error& why) override;
  Result<> dispatch(std::span<const std::byte> message);
  void request(const RequestView& view, std::size_t message_bytes);
  MethodState* admit(const RequestView& view, std::size_t message_bytes, std::uint64_t charged_bytes);
  // True: the request is new and has to run.
  bool deduplicate(const RequestView& view, ServerCall& call);
  void answer_stored(std::uint64_t id, const StoredReply& reply);
  void control(const ControlView& view);
  void adapt_reading();
  void leave_if_unused();

  ServerCore& core_;
  std::shared_ptr<net::Connection> connection_;
  runtime::IntrusiveList<ServerCall::Requester, ServerCall::Requester> requesters_;
  Admission::Share share_;
  std::uint32_t calls_ = 0;
  std::uint32_t grant_waits_ = 0;
  bool paused_ = false;
  bool closed_ = false;
};

class ServerCore {
 public:
  ServerCore(runtime::Env& e, const ServerOptions& o)
      : env(e), options(o), admission(o.admission), cache(o.deduplication), connections(e), handlers(e) {}

  // Deletes its links at its end.
  struct Links : runtime::IntrusiveList<ServerLink, ServerLink> {
    ~Links() {
      while (ServerLink* link = pop_front()) delete link;
    }
  };

  runtime::Env& env;
  const ServerOptions options;
  Admission admission;
  IdempotencyCache cache;
  std::vector<std::unique_ptr<ServiceState>> services;
  std::unordered_map<std::uint32_t, std::unique_ptr<MethodState>> methods;
  metrics::Counter refused;
  metrics::Counter violations;
  std::size_t link_count = 0;
  Links links;
  Links dead;                                            // reaped from the ready queue, outside any call of theirs
  runtime::IntrusiveList<ServerCall, ServerCall> calls;  // in the order of arrival
  bool stopping = false;
  bool reaping = false;
  runtime::WaitQueue changed;  // a call or a link has gone
  runtime::Scope connections;  // accept loops, the reaper
  runtime::Scope handlers;     // first to be destroyed: its frames hold calls, which report to their links

  void reap_soon();

 private:
  static runtime::Task<void> reap(ServerCore* core);
};

}  // namespace ff::rpc
