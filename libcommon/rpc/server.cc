#include "libcommon/rpc/server.hpp"

#include <fmt/core.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/server_core.hpp"

namespace ff::rpc {
namespace {

std::string_view state_name(ServerCall::State state) noexcept {
  switch (state) {
    case ServerCall::State::kRunning: return "running";
    case ServerCall::State::kPulling: return "pulling bulk";
    case ServerCall::State::kWaitingForGrant: return "waiting for grant";
    case ServerCall::State::kPushing: return "pushing bulk";
    case ServerCall::State::kAnswering: return "sending answer";
  }
  return "?";
}

// Until everything that `done` asks for has happened; woken by core.changed.
template <class F>
runtime::Task<Result<>> wait_until(ServerCore& core, F done) {
  while (!done()) FF_CO_TRY(co_await core.changed.wait());
  co_return {};
}

}  // namespace

Authorize allow_roles(std::initializer_list<std::string_view> roles) {
  std::vector<std::string> allowed(roles.begin(), roles.end());
  return [allowed = std::move(allowed)](const net::PeerIdentity& peer) -> Result<> {
    if (!peer.authenticated) return fail(Errc::kPermission, "peer has not proved that it holds the cluster key");
    if (std::ranges::find(allowed, peer.role) != allowed.end()) return {};
    return fail(Errc::kPermission, fmt::format("role '{}' may not call this service", peer.role));
  };
}

Authorize allow_local_user(std::uint32_t uid) {
  return [uid](const net::PeerIdentity& peer) -> Result<> {
    if (peer.local && peer.local->uid == uid) return {};
    return fail(Errc::kPermission, fmt::format("only user {} of this machine may call this service", uid));
  };
}

void ServerCore::reap_soon() {
  if (reaping) return;
  reaping = true;
  connections.spawn(reap(this));
}

runtime::Task<void> ServerCore::reap(ServerCore* core) {
  core->reaping = false;
  while (ServerLink* link = core->dead.pop_front()) delete link;
  core->changed.wake_all();
  co_return;
}

Server::Server(runtime::Env& env, const ServerOptions& options)
    : core_(std::make_unique<ServerCore>(env, options)), self_(std::make_shared<const Server* const>(this)) {
  google::protobuf::SetLogHandler(nullptr);
  if (options.registry == nullptr) return;
  auto refused = options.registry->counter({.name = "rpc_server_refused_total",
                                            .help = "Requests that no handler saw: overload, permission, unknown.",
                                            .labels = {}});
  auto violations = options.registry->counter({.name = "rpc_server_violations_total",
                                               .help = "Connections that were closed for what they sent.",
                                               .labels = {}});
  if (refused) core_->refused = *refused;
  if (violations) core_->violations = *violations;
}

Server::~Server() = default;

Result<> Server::add(Service& service, Authorize authorize) {
  const auto methods = service.service_methods();
  for (const Method& method : methods) {
    const auto found = core_->methods.find(method.info.id);
    if (found == core_->methods.end()) continue;
    return fail(Errc::kAlreadyExists,
                fmt::format("{}: has the id {:#010x} of {}, which is there already (rename one)",
                            method.info.full_name(), method.info.id, found->second->method->info.full_name()));
  }
  auto state = std::make_unique<ServiceState>(ServiceState{&service, std::move(authorize)});
  std::vector<std::unique_ptr<MethodState>> states;
  for (const Method& method : methods) {
    auto entry = std::make_unique<MethodState>();
    entry->method = &method;
    entry->service = state.get();
    if (metrics::Registry* registry = core_->options.registry) {
      const metrics::Labels labels = {{"service", std::string(method.info.service)},
                                      {"method", std::string(method.info.name)}};
      FF_TRY_ASSIGN(entry->requests,
                    registry->counter({.name = "rpc_server_requests_total",
                                       .help = "Requests that handlers have ended, with success or not.",
                                       .labels = labels}));
      FF_TRY_ASSIGN(entry->errors, registry->counter({.name = "rpc_server_errors_total",
                                                      .help = "Requests that handlers have ended with an error.",
                                                      .labels = labels}));
      FF_TRY_ASSIGN(entry->latency, registry->histogram({.name = "rpc_server_latency_seconds",
                                                         .unit = metrics::Unit::kSeconds,
                                                         .help = "From reading a request to queueing its answer.",
                                                         .labels = labels}));
      FF_TRY_ASSIGN(
          entry->in_flight,
          registry->gauge({.name = "rpc_server_in_flight", .help = "Requests whose handlers run.", .labels = labels}));
    }
    states.push_back(std::move(entry));
  }
  for (auto& entry : states) core_->methods.emplace(entry->method->info.id, std::move(entry));
  core_->services.push_back(std::move(state));
  return {};
}

runtime::Task<Result<net::Address>> Server::listen(net::Address at) {
  FF_CO_TRY_ASSIGN(auto listener, co_await core_->env.network().listen(std::move(at)));
  net::Address bound = listener->address();
  serve(std::move(listener));
  co_return bound;
}

void Server::serve(std::unique_ptr<net::Listener> listener) {
  core_->connections.spawn(accept_loop(core_.get(), std::move(listener)));
}

runtime::Task<void> Server::accept_loop(ServerCore* core, std::unique_ptr<net::Listener> listener) {
  while (!core->connections.context().cancelled()) {
    auto connection = co_await listener->accept();
    if (!connection) {
      // Out of descriptors or memory, or the listener is broken: others are still being served, so keep trying.
      if (core->connections.context().cancelled()) break;
      (void)co_await runtime::sleep(std::chrono::milliseconds(20));
      continue;
    }
    if (core->stopping || core->link_count >= core->options.connections_max) {
      (*connection)->close(Error(Errc::kExhausted, "server takes no more connections"));
      continue;
    }
    auto* link = new ServerLink(*core, std::move(*connection));
    link->start();
  }
}

runtime::Task<void> Server::stop(runtime::Duration drain) {
  ServerCore& core = *core_;
  core.stopping = true;
  // First those in flight, by themselves; then by force. Links go when their last call has gone.
  (void)co_await with_timeout(drain, "drain", wait_until(core, [&core] { return core.calls.empty(); }));
  core.handlers.cancel(Error(Errc::kUnavailable, "server is stopping"));
  (void)co_await core.handlers.join();
  core.links.for_each([](ServerLink& link) { link.close(Error(Errc::kUnavailable, "server is stopping")); });
  // Not under the caller's context: the links must not go while their connections may still call them.
  runtime::Context uncancelled(core.env);
  (void)co_await wait_until(core, [&core] { return core.link_count == 0; }).under(uncancelled);
  core.connections.cancel(Error(Errc::kCancelled, "server is stopping"));
  (void)co_await core.connections.join();
}

std::size_t Server::in_flight() const noexcept { return core_->admission.total().requests; }
std::size_t Server::connections() const noexcept { return core_->link_count; }

std::vector<metrics::RequestRow> Server::request_rows(std::size_t max) const {
  std::vector<metrics::RequestRow> rows;
  const runtime::Time now = core_->env.now();
  core_->calls.for_each([&](ServerCall& call) {
    if (rows.size() >= max) return;
    metrics::RequestRow row;
    row.service = call.method().service;
    row.method = call.method().name;
    row.peer = call.peer_text();
    row.age_ns = (now - call.since()).count();
    row.deadline_ns = (call.deadline() - now).count();
    row.trace_id = fmt::format("{:016x}", call.trace());
    row.state = state_name(call.state());
    rows.push_back(std::move(row));
  });
  return rows;
}

std::function<metrics::RequestList()> Server::request_source(runtime::Duration patience) const {
  struct Answer {
    std::mutex mutex;  // guards what follows
    std::condition_variable there;
    bool done = false;
    metrics::RequestList list;
  };
  return [env = &core_->env, self = std::weak_ptr(self_), patience]() -> metrics::RequestList {
    // The Server may go while we hold this; only its own thread finds that out without a race.
    if (self.expired()) return {};
    auto answer = std::make_shared<Answer>();
    const bool posted = env->post([answer, self] {
      metrics::RequestList list;
      if (const auto server = self.lock())
        list = {.rows = (*server)->request_rows(metrics::kRequestRowsMax), .total = (*server)->in_flight()};
      const std::lock_guard lock(answer->mutex);
      answer->list = std::move(list);
      answer->done = true;
      answer->there.notify_one();
    });
    if (!posted) return {};
    std::unique_lock lock(answer->mutex);
    answer->there.wait_for(lock, patience, [&] { return answer->done; });
    return std::move(answer->list);
  };
}

}  // namespace ff::rpc
