#include "ffs/mgmt/routing_client.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/base/assert.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

namespace {

// Another manager, or the same a little later, may do better.
bool may_pass(Errc code) noexcept {
  return code == Errc::kUnavailable || code == Errc::kTimeout || code == Errc::kExhausted;
}

std::uint64_t milliseconds(Duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time / std::chrono::milliseconds(1)));
}

}  // namespace

MgmtClient::MgmtClient(runtime::Env& env, std::vector<net::PeerAddress> managers, MgmtClientOptions options)
    : env_(env), options_(std::move(options)), scope_(env) {
  FF_ASSERT(!managers.empty());
  rpc::ClientOptions link;
  link.connect_timeout = options_.attempt;
  for (net::PeerAddress& manager : managers)
    managers_.push_back(std::make_unique<rpc::Client>(env, std::move(manager), link));
}

MgmtClient::~MgmtClient() = default;

Task<Result<>> MgmtClient::start(Duration timeout) {
  FF_ASSERT(!started_);
  started_ = true;
  scope_.spawn(poll_routing());
  FF_CO_TRY(co_await newer_than(0, timeout));
  co_return {};
}

Result<> MgmtClient::keep_session(std::uint64_t client, std::string what, std::string host) {
  if (client == 0) return fail(Errc::kInvalidArgument, "session: client 0 (draw a random number)");
  if (session_) return fail(Errc::kInvalidArgument, "session: this client has one already");
  session_.emplace();
  session_->set_client(client);
  session_->set_what(std::move(what));
  session_->set_host(std::move(host));
  scope_.spawn(extend_while_running());
  return {};
}

Task<void> MgmtClient::stop() {
  scope_.cancel();
  (void)co_await scope_.join();
  newer_.fail_all(Error(Errc::kCancelled, "manager's client: stopped"));
  if (session_) {
    ExtendSessionRequest request;
    request.set_cluster(options_.cluster);
    *request.mutable_session() = *session_;
    request.set_end(true);
    (void)co_await extend_session(std::move(request), 1s);
    session_.reset();
  }
  for (const auto& manager : managers_) co_await manager->stop();
}

Result<> MgmtClient::offer(Routing routing) {
  const std::string& cluster =
      !options_.cluster.empty() || view_ == nullptr ? options_.cluster : view_->message().cluster();
  if (!cluster.empty() && routing.cluster() != cluster)
    return fail(Errc::kInvalidArgument, "routing: of another cluster (is this the right manager?)");
  if (view_ != nullptr && routing.version() <= view_->version()) return {};
  auto made = RoutingView::make(std::move(routing));
  if (!made) return fail(std::move(made).error());
  view_ = std::move(*made);
  newer_.wake_all();
  return {};
}

Task<Result<std::shared_ptr<const RoutingView>>> MgmtClient::newer_than(std::uint64_t version, Duration timeout) {
  const runtime::Time until = runtime::saturating_add(env_.now(), timeout);
  while (view_ == nullptr || view_->version() <= version) {
    if (!asking_ && !scope_.context().cancelled()) {
      asking_ = true;
      scope_.spawn(ask_now());
    }
    // A function of its own: the wait must be made inside the task that awaits it.
    const auto wait = [](runtime::WaitQueue& queue) -> Task<Result<>> { co_return co_await queue.wait(); };
    FF_CO_TRY_CTX(co_await runtime::with_deadline(until, "newer routing", wait(newer_)),
                  view_ == nullptr ? std::string("routing: none yet")
                                   : fmt::format("routing: none newer than version {}", version));
  }
  co_return view_;
}

Task<Result<std::shared_ptr<const RoutingView>>> MgmtClient::fetch(Duration timeout) {
  FF_CO_TRY_ASSIGN(GetRoutingReply reply,
                   (co_await call<GetRoutingReply>(&ManagerClient::get_routing, GetRoutingRequest(), timeout)));
  if (!reply.has_routing()) co_return fail(Errc::kCorrupt, "manager: answered without a routing");
  Routing copy = reply.routing();
  FF_CO_TRY(offer(std::move(*reply.mutable_routing())));
  co_return RoutingView::make(std::move(copy));
}

Task<Result<InstallChainsReply>> MgmtClient::install_chains(InstallChainsRequest request, Duration timeout) {
  request.set_token(options_.token);
  co_return co_await call<InstallChainsReply>(&ManagerClient::install_chains, std::move(request), timeout);
}
Task<Result<UpdateChainReply>> MgmtClient::update_chain(UpdateChainRequest request, Duration timeout) {
  request.set_token(options_.token);
  co_return co_await call<UpdateChainReply>(&ManagerClient::update_chain, std::move(request), timeout);
}
Task<Result<SetNodeReply>> MgmtClient::set_node(SetNodeRequest request, Duration timeout) {
  request.set_token(options_.token);
  co_return co_await call<SetNodeReply>(&ManagerClient::set_node, std::move(request), timeout);
}
Task<Result<SetTargetReply>> MgmtClient::set_target(SetTargetRequest request, Duration timeout) {
  request.set_token(options_.token);
  co_return co_await call<SetTargetReply>(&ManagerClient::set_target, std::move(request), timeout);
}
Task<Result<SetConfigReply>> MgmtClient::set_config(SetConfigRequest request, Duration timeout) {
  request.set_token(options_.token);
  co_return co_await call<SetConfigReply>(&ManagerClient::set_config, std::move(request), timeout);
}
Task<Result<GetConfigReply>> MgmtClient::get_config(GetConfigRequest request, Duration timeout) {
  co_return co_await call<GetConfigReply>(&ManagerClient::get_config, std::move(request), timeout);
}
Task<Result<ListSessionsReply>> MgmtClient::list_sessions(Duration timeout) {
  co_return co_await call<ListSessionsReply>(&ManagerClient::list_sessions, ListSessionsRequest(), timeout);
}
Task<Result<ExtendSessionReply>> MgmtClient::extend_session(ExtendSessionRequest request, Duration timeout) {
  co_return co_await call<ExtendSessionReply>(&ManagerClient::extend_session, std::move(request), timeout);
}

Task<Result<HeartbeatReply>> MgmtClient::heartbeat(HeartbeatRequest request, Duration timeout) {
  co_return co_await attempt<HeartbeatReply>(&ManagerClient::heartbeat, request, timeout);
}

// One manager, one attempt. The next goes to another one if this one was not primary.
template <class Reply, class Request>
Task<Result<Reply>> MgmtClient::attempt(Method<Reply, Request> method, const Request& request, Duration timeout) {
  const std::size_t asked = primary_;
  Result<Reply> reply =
      co_await (ManagerClient(*managers_[asked]).*method)(request, {.timeout = timeout,
                                                                    .attempts = 1,
                                                                    .wait_for_connection = managers_.size() == 1,
                                                                    .traffic = net::TrafficClass::kControl});
  // Others may have moved on meanwhile.
  if (!reply && may_pass(reply.error().code()) && primary_ == asked) primary_ = (asked + 1) % managers_.size();
  co_return reply;
}

template <class Reply, class Request>
Task<Result<Reply>> MgmtClient::call(Method<Reply, Request> method, Request request, Duration timeout, Duration hold) {
  const runtime::Time until = runtime::saturating_add(env_.now(), timeout);
  Duration pause = options_.pause;
  for (std::size_t tried = 1;; ++tried) {
    const Duration left = std::max(until - env_.now(), Duration(1ms));
    Result<Reply> reply = co_await attempt<Reply>(method, request, std::min(left, options_.attempt + hold));
    if (reply || !may_pass(reply.error().code()) || (co_await runtime::current_context()).cancelled()) co_return reply;
    if (tried % managers_.size() == 0) {
      const Duration wait = pause / 2 + Duration(env_.rng().below(static_cast<std::uint64_t>(pause.count() / 2 + 1)));
      if (env_.now() + wait >= until) co_return reply;
      FF_CO_TRY(co_await runtime::sleep(wait));
      pause = std::min(pause * 2, options_.pause * 20);
    }
    if (env_.now() >= until) co_return reply;
  }
}

// Asks for newer routing again and again; the manager answers when there is one.
Task<void> MgmtClient::poll_routing() {
  Duration pause = options_.pause;
  for (;;) {
    GetRoutingRequest request;
    request.set_known_version(view_ == nullptr ? 0 : view_->version());
    request.set_wait_ms(milliseconds(options_.poll));
    auto reply = co_await call<GetRoutingReply>(&ManagerClient::get_routing, std::move(request),
                                                options_.poll + 10 * options_.attempt, options_.poll);
    bool good = reply.has_value();
    if (good && reply->has_routing()) good = offer(std::move(*reply->mutable_routing())).has_value();
    if (good) {
      pause = options_.pause;
      continue;
    }
    if (!co_await runtime::sleep(pause)) co_return;
    pause = std::min(pause * 2, options_.pause * 20);
  }
}

// One question that is answered at once, beside the open one, which may hang at a manager that is gone.
Task<void> MgmtClient::ask_now() {
  GetRoutingRequest request;
  request.set_known_version(view_ == nullptr ? 0 : view_->version());
  auto reply = co_await call<GetRoutingReply>(&ManagerClient::get_routing, std::move(request), 5 * options_.attempt);
  if (reply && reply->has_routing()) (void)offer(std::move(*reply->mutable_routing()));
  // So that many who wait for what is not there yet do not ask without end.
  (void)co_await runtime::sleep(options_.pause);
  asking_ = false;
  // Those who still wait ask again, if the open question is not there to answer them.
  if (!started_) newer_.wake_all();
}

Task<void> MgmtClient::extend_while_running() {
  for (;;) {
    ExtendSessionRequest request;
    request.set_cluster(options_.cluster);
    *request.mutable_session() = *session_;
    const auto reply = co_await extend_session(std::move(request), 10 * options_.attempt);
    // A quarter: three may be lost.
    const Duration wait = reply ? std::max<Duration>(std::chrono::milliseconds(reply->timeout_ms()) / 4, 100ms)
                                : std::max<Duration>(options_.pause, 100ms);
    if (!co_await runtime::sleep(wait)) co_return;
  }
}

}  // namespace ff::ffs
