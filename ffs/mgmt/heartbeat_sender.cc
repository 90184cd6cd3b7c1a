#include "ffs/mgmt/heartbeat_sender.hpp"

#include <algorithm>

#include "libcommon/base/assert.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

namespace {

// What no later heartbeat of this process will change.
bool is_final(Errc code) noexcept {
  return code == Errc::kInvalidArgument || code == Errc::kPermission || code == Errc::kAlreadyExists;
}

}  // namespace

HeartbeatSender::HeartbeatSender(runtime::Env& env, MgmtClient& mgmt, HeartbeatSenderOptions options, Reports reports)
    : env_(env),
      mgmt_(mgmt),
      options_(std::move(options)),
      reports_(std::move(reports)),
      interval_(options_.interval),
      serve_until_(env.now()),
      scope_(env) {
  while (incarnation_ == 0) incarnation_ = env.rng().next();
}

HeartbeatSender::~HeartbeatSender() = default;

void HeartbeatSender::start() {
  FF_ASSERT(!started_);
  started_ = true;
  scope_.spawn(run());
}

Task<void> HeartbeatSender::stop() {
  leaving_ = true;
  serve_until_ = env_.now();
  scope_.cancel();
  (void)co_await scope_.join();
  if (started_ && !refused_) {
    interval_ = 1s;
    (void)co_await send_one();
  }
}

void HeartbeatSender::poke() noexcept { wanted_.set(); }

HeartbeatRequest HeartbeatSender::make_request() {
  HeartbeatRequest request;
  request.set_cluster(options_.cluster);
  *request.mutable_node() = options_.node;
  request.set_incarnation(incarnation_);
  request.set_sequence(++sequence_);
  request.set_challenge(challenge_);
  const auto view = mgmt_.current();
  request.set_routing_version(view == nullptr ? 0 : view->version());
  if (reports_)
    for (TargetReport& report : reports_()) {
      if (leaving_) report.set_local(LOCAL_OFFLINE);
      *request.add_targets() = std::move(report);
    }
  return request;
}

Task<Result<>> HeartbeatSender::send_one() {
  HeartbeatRequest request = make_request();
  const runtime::Time sent = env_.now();
  const bool knew_routing = request.routing_version() != 0;
  auto reply = co_await mgmt_.heartbeat(std::move(request), std::max<Duration>(interval_ / 2, 20ms));
  if (!reply) {
    if (is_final(reply.error().code())) refused_ = reply.error();
    co_return fail(std::move(reply).error());
  }
  if (reply->challenge() != 0) {
    challenge_ = reply->challenge();
    co_return fail(Errc::kUnavailable, "manager: has just met this process");
  }
  if (leaving_) co_return {};
  refused_.reset();
  if (reply->interval_ms() > 0) interval_ = std::chrono::milliseconds(reply->interval_ms());
  // The routing first: with the lease, the node must not serve by an older picture than the manager has of it.
  if (reply->has_routing()) FF_CO_TRY(mgmt_.offer(std::move(*reply->mutable_routing())));
  serve_until_ = std::max(serve_until_, sent + std::chrono::milliseconds(reply->lease_ms()));
  if (!knew_routing) poke();  // what the targets are can be told only now
  co_return {};
}

Task<void> HeartbeatSender::run() {
  // A function of its own: the wait must be made inside the task that awaits it.
  const auto wanted = [](runtime::Event& event) -> Task<Result<>> { co_return co_await event.wait(); };
  for (;;) {
    wanted_.reset();
    const std::uint64_t challenge = challenge_;
    bool answered = (co_await send_one()).has_value();
    if (!answered && challenge_ != challenge) answered = (co_await send_one()).has_value();
    if (scope_.context().cancelled()) co_return;
    if (!answered) {
      // Soon again: the lease runs. Jittered, so that all nodes do not return to a new primary together.
      const Duration most = std::max<Duration>(interval_ / 10, 2ms);
      if (!co_await runtime::sleep(most / 2 + Duration(env_.rng().below(static_cast<std::uint64_t>(most.count() / 2)))))
        co_return;
      continue;
    }
    (void)co_await runtime::with_timeout(interval_, "next heartbeat", wanted(wanted_));
    if (scope_.context().cancelled()) co_return;
  }
}

}  // namespace ff::ffs
