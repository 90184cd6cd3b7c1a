#include "libcommon/rpc/client.hpp"

#include <fmt/core.h>
#include <google/protobuf/message_lite.h>

#include <algorithm>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/client_link.hpp"

namespace ff::rpc {
namespace {

// At least one: 0 would be refused.
std::uint64_t timeout_us(runtime::Time now, runtime::Time until) noexcept {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(until - now).count();
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max<std::int64_t>(left, 1)), 1, kTimeoutUsMax);
}

}  // namespace

struct Client::Operation {
  const MethodInfo& method;
  const google::protobuf::MessageLite& request;
  const CallOptions& options;
  ClientLink& link;
  runtime::Context& context;
  runtime::Time deadline;
  PendingCall pending;
  IdempotencyKey key;
  bool key_entered = false;
  bool may_have_run = false;  // an attempt that failed
  // The start of the server that may have seen the key; 0: none.
  bool seen = false;
  std::uint64_t seen_instance = 0;
  std::uint32_t failures = 0;
  bool queue_full = false;  // the connection refused the last request for that
  // Attempts whose time was over and that were not cancelled: what they began goes on at the server.
  std::vector<std::uint64_t> abandoned;
  std::uint64_t arrived = 0;  // in exposed bulk_receive
  net::RemoteMemory remote_send;
  net::RemoteMemory remote_receive;

  bool exposes() const noexcept {
    return options.bulk_send.size() > kInlineBulkBytesMax || options.bulk_receive.size() > kInlineBulkBytesMax;
  }
  bool own_key_is_lost(const net::Connection& connection) const {
    const std::uint64_t instance = connection.peer().instance_id;
    return key_entered && seen && (instance == 0 || instance != seen_instance);
  }
};

Client::Client(runtime::Env& env, net::PeerAddress peer, const ClientOptions& options)
    : env_(env), peer_(std::move(peer)), options_(options), scope_(env) {
  if (options.grants) grants_ = GrantScheduler::of(env);
  while (key_client_ == 0) key_client_ = env.rng().next();
}

Client::~Client() = default;

ClientLink& Client::link(net::TrafficClass traffic) {
  auto& link = links_[static_cast<std::size_t>(traffic)];
  if (link == nullptr) link = std::make_unique<ClientLink>(*this, traffic);
  return *link;
}

std::shared_ptr<net::Connection> Client::connection(net::TrafficClass traffic) const noexcept {
  const auto& link = links_[static_cast<std::size_t>(traffic)];
  return link == nullptr ? nullptr : link->connection();
}

std::size_t Client::in_flight() const noexcept {
  std::size_t sum = 0;
  for (const auto& link : links_)
    if (link != nullptr) sum += link->waiting();
  return sum;
}

runtime::Task<Result<>> Client::call(const MethodInfo& method, const google::protobuf::MessageLite& request,
                                     google::protobuf::MessageLite& reply, const CallOptions& options) {
  runtime::Context& context = co_await runtime::current_context();
  Operation op{.method = method,
               .request = request,
               .options = options,
               .link = link(options.traffic),
               .context = context,
               .deadline = std::min(runtime::saturating_add(env_.now(), options.timeout), context.deadline())};
  op.pending.reply = &reply;
  op.key = options.key;
  if (!op.key && !method.repeatable() && options.attempts > 1) enter_key(op);

  Result<> result;
  for (;;) {
    result = {};
    if (op.link.connection() == nullptr) result = co_await connect(op);
    if (result) {
      if (op.exposes()) {
        result = co_await exchange_bulk(op);
      } else {
        result = begin(op);
        if (!result && op.queue_full) result = co_await wait_to_send(op);
        if (result) result = co_await op.pending;
      }
    }
    if (result) break;
    op.may_have_run = op.may_have_run || op.pending.failure.may_have_run;
    result = co_await retry(op, std::move(result).error());
    if (!result) break;
  }
  if (op.key_entered) leave_key(op);
  if (!result)
    for (const std::uint64_t id : op.abandoned) op.link.cancel(id);
  if (result) {
    if (op.failures == 0) budget_.succeeded();
    if (options.bulk_received != nullptr)
      *options.bulk_received = options.bulk_receive.size() > kInlineBulkBytesMax ? op.arrived : op.pending.received;
    co_return result;
  }
  if (options.may_have_run != nullptr) *options.may_have_run = op.may_have_run;
  co_return fail(std::move(result).error().context(fmt::format("{} at {}", method.full_name(), peer_.text())));
}

// Enters the call and sends its request. Synchronous: the common case costs no frame of its own.
Result<> Client::begin(Operation& op) {
  const auto& connection = op.link.connection();
  op.pending.failure = {.code = Errc::kUnavailable, .may_have_run = false};
  if (connection == nullptr) return fail(Errc::kUnavailable, "connection lost");
  const runtime::Time now = env_.now();
  if (now >= op.deadline) {
    op.pending.failure.code = Errc::kTimeout;
    return fail(Errc::kTimeout, "deadline passed before the request was sent");
  }
  if (op.own_key_is_lost(*connection)) {
    op.pending.failure = {.code = Errc::kInternal};
    return fail(Errc::kUnavailable,
                "server has been restarted since the request was sent: nobody knows whether it has run");
  }
  const std::size_t bytes = op.request.ByteSizeLong();
  RequestHeader header{.method = op.method.id, .trace = op.context.trace(), .grants = grants_ != nullptr};
  const bool limited = op.options.attempt_timeout > runtime::Duration(0);
  op.pending.until =
      limited ? std::min(op.deadline, runtime::saturating_add(now, op.options.attempt_timeout)) : op.deadline;
  // A keyed attempt that is given up goes on at the server: the next one joins it. Not one that needs the memory that
  // we take back.
  const bool last = op.pending.until == op.deadline || op.failures + 1 >= op.options.attempts;
  op.pending.cancel_on_timeout = last || !op.key || op.exposes();
  header.timeout_us = timeout_us(now, op.key ? op.deadline : op.pending.until);
  header.key = op.key;
  if (op.key_entered) header.settled_below = *key_open_.begin();
  header.bulk_send = op.remote_send;
  header.bulk_receive = op.remote_receive;
  std::span<const std::byte> inline_bulk;
  if (op.remote_send.bytes == 0) inline_bulk = op.options.bulk_send;
  header.inline_send = static_cast<std::uint32_t>(inline_bulk.size());
  if (op.remote_receive.bytes == 0) op.pending.inline_receive = op.options.bulk_receive;
  header.inline_receive = static_cast<std::uint32_t>(op.pending.inline_receive.size());
  if (bytes > net::kMessageBytesMax - kRequestHeaderBytesMax - kInlineBulkBytesMax) {
    op.pending.failure.code = Errc::kInvalidArgument;
    return fail(Errc::kInvalidArgument,
                fmt::format("request of {} bytes, a message holds {} (send large data as bulk)", bytes,
                            net::kMessageBytesMax - kRequestHeaderBytesMax - kInlineBulkBytesMax));
  }

  const auto full = [&op](Error why) {
    op.queue_full = true;
    op.pending.failure.code = why.code();
    return fail(std::move(why));
  };
  if (!op.link.send_kept()) return full(Error(Errc::kExhausted, "server reads too slowly"));
  if (!op.link.enter(op.pending)) {
    op.pending.failure.code = Errc::kExhausted;
    return fail(Errc::kExhausted, fmt::format("{} calls wait already", options_.calls_max));
  }
  header.id = op.pending.id();
  Draft draft = encode_request(header, inline_bulk, bytes);
  op.request.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(draft.payload.data()));
  if (Result<> sent = connection->send(std::move(draft.message)); !sent) {
    op.link.leave(op.pending, false);
    if (sent.error().code() == Errc::kExhausted) return full(std::move(sent).error());
    op.pending.failure.code = sent.error().code();
    return sent;
  }
  op.seen = true;
  op.seen_instance = connection->peer().instance_id;
  return {};
}

runtime::Task<Result<>> Client::wait_to_send(Operation& op) {
  const auto connection = op.link.connection();
  for (;;) {
    op.queue_full = false;
    if (connection == nullptr) co_return fail(Errc::kUnavailable, "connection lost");
    FF_CO_TRY_CTX(co_await with_deadline(op.deadline, "wait", connection->writable()),
                  "server reads requests too slowly");
    // Exposed memory belongs to the connection that it was exposed on.
    if (connection != op.link.connection()) co_return fail(Errc::kUnavailable, "connection lost");
    Result<> begun = begin(op);
    if (begun || !op.queue_full) co_return begun;
  }
}

runtime::Task<Result<>> Client::connect(Operation& op) {
  op.pending.failure = {.code = Errc::kUnavailable, .may_have_run = false};
  Result<> up = co_await with_deadline(op.deadline, "connect", op.link.up(op.options.wait_for_connection));
  if (up) co_return up;
  op.pending.failure.code = up.error().code();
  // Waiting has been done here already, or was not wanted.
  op.failures = op.options.attempts;
  if (up.error().code() == Errc::kTimeout && op.link.last_error())
    co_return fail(std::move(up).error().context(op.link.last_error()->message()));
  co_return up;
}

runtime::Task<Result<>> Client::exchange_bulk(Operation& op) {
  const auto connection = op.link.connection();
  op.pending.failure = {.code = Errc::kUnavailable, .may_have_run = false};
  if (connection == nullptr) co_return fail(Errc::kUnavailable, "connection lost");
  std::unique_ptr<net::Exposure> sends;
  std::unique_ptr<net::Exposure> receives;
  op.remote_send = op.remote_receive = {};
  Result<> result;
  if (const auto from = op.options.bulk_send; from.size() > kInlineBulkBytesMax) {
    // Exposed for pulling only: nobody writes into it.
    auto exposed = connection->expose({const_cast<std::byte*>(from.data()), from.size()}, net::Access::kPull);
    if (exposed) sends = std::move(*exposed), op.remote_send = sends->remote();
    if (!exposed) result = fail(std::move(exposed).error());
  }
  if (const auto into = op.options.bulk_receive; result && into.size() > kInlineBulkBytesMax) {
    auto exposed = connection->expose(into, net::Access::kPush);
    if (exposed) receives = std::move(*exposed), op.remote_receive = receives->remote();
    if (!exposed) result = fail(std::move(exposed).error());
  }
  if (result) result = begin(op);
  if (!result && op.queue_full) result = co_await wait_to_send(op);
  if (result) result = co_await op.pending;
  if (receives != nullptr) {
    co_await receives->revoke();
    // A repeated answer comes without what the attempt that ran has pushed already.
    if (const std::uint64_t arrived = receives->arrived(); arrived > 0 || !op.key) op.arrived = arrived;
  }
  if (sends != nullptr) co_await sends->revoke();
  co_return result;
}

runtime::Task<Result<>> Client::retry(Operation& op, Error error) {
  ++op.failures;
  const Failure failure = op.pending.failure;
  if (failure.code == Errc::kTimeout && !op.pending.cancel_on_timeout) op.abandoned.push_back(op.pending.id());
  const Repeatable repeatable{.by_method = op.method.repeatable(), .by_key = static_cast<bool>(op.key)};
  if (op.context.cancelled() || stopping_ || op.failures >= op.options.attempts || !may_retry(failure, repeatable))
    co_return fail(std::move(error));
  const auto pause =
      std::max<runtime::Duration>(backoff(env_.rng(), op.failures, options_.retry_base, options_.retry_most),
                                  std::chrono::milliseconds(failure.retry_after_ms));
  const runtime::Time when = runtime::saturating_add(env_.now(), pause);
  if (when >= op.deadline || !budget_.spend()) co_return fail(std::move(error));
  FF_CO_TRY(co_await runtime::sleep_until(when));
  co_return {};
}

void Client::enter_key(Operation& op) {
  op.key = {.client = key_client_, .sequence = ++key_sequence_};
  op.key_entered = true;
  key_open_.insert(op.key.sequence);
}

void Client::leave_key(const Operation& op) { key_open_.erase(op.key.sequence); }

runtime::Task<void> Client::stop() {
  stopping_ = true;
  for (const auto& link : links_)
    if (link != nullptr) link->close();
  scope_.cancel();
  (void)co_await scope_.join();
  // Not under the caller's context: the links must not go while their connections may still call them.
  runtime::Context uncancelled(env_);
  for (const auto& link : links_)
    if (link != nullptr) co_await link->closed().under(uncancelled);
}

}  // namespace ff::rpc
