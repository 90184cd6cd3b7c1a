#include "libcommon/rpc/server_call.hpp"

#include <fmt/core.h>
#include <google/protobuf/message_lite.h>

#include <algorithm>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/grant_window.hpp"
#include "libcommon/rpc/send.hpp"
#include "libcommon/rpc/server_core.hpp"

namespace ff::rpc {
namespace {

// The operation may be run again after these, so they are no answer to keep.
bool invites_retry(Errc code) noexcept {
  return code == Errc::kUnavailable || code == Errc::kExhausted || code == Errc::kTimeout || code == Errc::kCancelled;
}

}  // namespace

ServerCall::ServerCall(ServerCore& core, ServerLink& link, MethodState& method, const RequestView& request,
                       std::uint64_t charged_bytes)
    : core_(core),
      link_(&link),
      method_(method),
      context_(core.handlers.context()),
      since_(core.env.now()),
      charged_bytes_(charged_bytes),
      key_(request.header.key),
      bulk_send_(request.header.bulk_send),
      bulk_receive_(request.header.bulk_receive),
      inline_receive_(request.header.inline_receive),
      grants_(request.header.grants),
      inline_in_(request.inline_bulk.begin(), request.inline_bulk.end()) {
  context_.set_trace(request.header.trace);
  const runtime::Time when =
      runtime::saturating_add(since_, std::chrono::microseconds(static_cast<std::int64_t>(request.header.timeout_us)));
  context_.set_deadline(when);
  if (!context_.cancelled()) core.env.arm(*this, when);
  core.calls.push_back(*this);
  link.call_started();
  method.in_flight.add(1);
  first_.call = this;
  first_.link = &link;
  first_.id = request.header.id;
  link.add(first_);
}

ServerCall::~ServerCall() {
  if (!done_) finished(false);
  unlink();
  first_.unlink();
  joined_.clear();
  link_->call_ended(charged_bytes_);
  core_.changed.wake_all();
}

const MethodInfo& ServerCall::method() const noexcept { return method_.method->info; }
const net::PeerIdentity& ServerCall::peer() const noexcept { return link_->connection().peer(); }
std::string ServerCall::peer_text() const { return link_->connection().peer_text(); }

std::uint64_t ServerCall::bulk_send_bytes() const noexcept {
  return inline_in_.empty() ? bulk_send_.bytes : inline_in_.size();
}
std::uint64_t ServerCall::bulk_receive_bytes() const noexcept {
  return inline_receive_ != 0 ? inline_receive_ : bulk_receive_.bytes;
}

void ServerCall::set_retry_after(runtime::Duration wait) noexcept {
  retry_after_ms_ = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(wait).count(), 0, 3'600'000));
}

void ServerCall::expired() { context_.cancel(Error(Errc::kTimeout, "deadline passed while the handler ran")); }

Result<> ServerCall::check_bulk(const char* what, std::uint64_t offset, std::uint64_t bytes, std::uint64_t room) const {
  if (offset <= room && bytes <= room - offset) return {};
  return ff::fail(
      Errc::kInvalidArgument,
      fmt::format("{} of {} bytes at {}: the client offers {} bytes (ask for no more)", what, bytes, offset, room));
}

runtime::Task<Result<>> ServerCall::pull_bulk(std::span<std::byte> into, std::uint64_t offset) {
  FF_CO_TRY(check_bulk("pull", offset, into.size(), bulk_send_bytes()));
  if (into.empty()) co_return {};
  if (!inline_in_.empty()) {
    std::memcpy(into.data(), inline_in_.data() + offset, into.size());
    co_return {};
  }
  FF_CO_TRY(bulk_there());
  state_ = State::kPulling;
  const net::RemoteMemory from{bulk_send_.region, bulk_send_.offset + offset, into.size()};
  Result<> result = co_await link_->connection().pull(from, into);
  state_ = State::kRunning;
  co_return bulk_ended(std::move(result));
}

Result<> ServerCall::bulk_there() const {
  if (!bulk_gone_) return {};
  return ff::fail(Errc::kUnavailable, "the attempt that offered its memory has ended");
}

Result<> ServerCall::bulk_ended(Result<> result) const {
  if (result || context_.cancelled()) return result;
  // Memory is taken back only when its attempt has ended; that may be felt here before it is told.
  if (!bulk_gone_ && result.error().code() != Errc::kNotFound) return result;
  return ff::fail(Errc::kUnavailable, "the attempt that offered its memory has ended: " + result.error().message());
}

runtime::Task<Result<>> ServerCall::push_bulk(std::span<const std::byte> from, std::uint64_t offset) {
  FF_CO_TRY(check_bulk("push", offset, from.size(), bulk_receive_bytes()));
  if (inline_receive_ != 0) {
    const auto end = static_cast<std::size_t>(offset) + from.size();
    if (inline_out_.size() < end) inline_out_.resize(end);
    if (!from.empty()) std::memcpy(inline_out_.data() + offset, from.data(), from.size());
    co_return {};
  }
  while (!from.empty()) {
    const auto piece = from.first(std::min<std::size_t>(from.size(), kGrantBytesMax));
    FF_CO_TRY(bulk_there());
    FF_CO_TRY(
        bulk_ended(co_await push_piece(piece, {bulk_receive_.region, bulk_receive_.offset + offset, piece.size()})));
    from = from.subspan(piece.size());
    offset += piece.size();
  }
  co_return {};
}

runtime::Task<Result<>> ServerCall::push_piece(std::span<const std::byte> from, net::RemoteMemory to) {
  const bool ask = grants_ && from.size() >= kGrantBytesMin;
  Result<> result;
  if (ask) result = co_await wait_for_grant(from.size());
  if (result) {
    state_ = State::kPushing;
    result = co_await link_->connection().push(from, to);
  }
  state_ = State::kRunning;
  // Also when the push failed or was given up, so that the client's window does not count it for ever.
  if (ask) (void)co_await send_control({.type = Type::kBulkDone, .id = first_.id, .grant = grant_});
  co_return result;
}

runtime::Task<Result<>> ServerCall::send_control(ControlView control) {
  const auto connection = link_->shared_connection();
  for (;;) {
    Result<> sent = connection->send(encode_control(control));
    if (sent || sent.error().code() != Errc::kExhausted) co_return sent;
    FF_CO_TRY(co_await connection->writable());
  }
}

runtime::Task<Result<>> ServerCall::wait_for_grant(std::uint64_t bytes) {
  FF_ASSERT(grant_wait_.empty());
  ++grant_;
  grant_here_ = false;
  state_ = State::kWaitingForGrant;
  FF_CO_TRY(co_await send_control({.type = Type::kBulkAsk, .id = first_.id, .grant = grant_, .bytes = bytes}));
  FF_CO_TRY(bulk_there());
  link_->waiting_for_grant(true);
  struct Ends {
    ServerLink& link;
    ~Ends() { link.waiting_for_grant(false); }
  } ends{*link_};
  while (!grant_here_) FF_CO_TRY(co_await grant_wait_.wait());
  co_return {};
}

void ServerCall::granted(std::uint32_t grant) noexcept {
  if (grant != grant_ || state_ != State::kWaitingForGrant) return;
  grant_here_ = true;
  grant_wait_.wake_all();
}

bool ServerCall::wanted() const noexcept {
  return first_.link != nullptr || std::ranges::any_of(joined_, [](const auto& one) { return one->link != nullptr; });
}

template <class F>
void ServerCall::for_each_requester(F visit) {
  if (first_.link != nullptr) visit(first_);
  for (const auto& one : joined_)
    if (one->link != nullptr) visit(*one);
}

bool ServerCall::join(ServerLink& link, std::uint64_t id) {
  std::erase_if(joined_, [](const auto& one) { return one->link == nullptr; });
  if (joined_.size() >= kJoinedMax) return false;
  auto requester = std::make_unique<Requester>();
  requester->call = this;
  requester->link = &link;
  requester->id = id;
  link.add(*requester);
  joined_.push_back(std::move(requester));
  return true;
}

void ServerCall::leave(Requester& requester, const Error& why, bool connection_lost) {
  requester.unlink();
  requester.link = nullptr;
  if (!wanted() && !(connection_lost && key_entered_)) context_.cancel(why);
  if (&requester != &first_) return;
  bulk_gone_ = true;
  grant_wait_.fail_all(why);
}

void ServerCall::send(Requester& requester, net::Message message) {
  ServerLink& link = *requester.link;
  if (!link.send(message)) unsent_.push_back({link.shared_connection(), std::move(message)});
}

void ServerCall::remember(bool ok, Errc code, std::span<const std::byte> bytes) {
  StoredReply reply{.ok = ok, .code = code, .bytes = {}};
  reply.inline_bytes = static_cast<std::uint32_t>(inline_out_.size());
  reply.bytes.reserve(inline_out_.size() + bytes.size());
  if (ok) reply.bytes.assign(inline_out_.begin(), inline_out_.end());
  reply.bytes.insert(reply.bytes.end(), bytes.begin(), bytes.end());
  core_.cache.finish(key_, std::move(reply), core_.env.now());
  key_entered_ = false;
}

void ServerCall::succeed(const google::protobuf::MessageLite& reply) {
  const std::size_t bytes = reply.ByteSizeLong();
  if (bytes > net::kMessageBytesMax - kPrefixBytes - inline_out_.size()) {
    fail(Error(Errc::kInternal, fmt::format("answer of {} bytes is more than a message holds, {} (send it as bulk)",
                                            bytes, net::kMessageBytesMax)));
    return;
  }
  state_ = State::kAnswering;
  bool serialized = false;
  for_each_requester([&](Requester& requester) {
    Draft draft = encode_response(requester.id, inline_out_, bytes);
    reply.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(draft.payload.data()));
    if (key_entered_ && !serialized) remember(true, Errc::kInternal, draft.payload);
    serialized = true;
    send(requester, std::move(draft.message));
  });
  if (key_entered_) {
    std::vector<std::byte> payload(bytes);
    reply.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(payload.data()));
    remember(true, Errc::kInternal, payload);
  }
  finished(true);
}

void ServerCall::fail(const Error& error) {
  state_ = State::kAnswering;
  const std::string_view text = std::string_view(error.message()).substr(0, kErrorTextBytesMax);
  // Whoever joined a run that was cancelled for another's sake may well try again.
  const bool joined_cancelled = error.code() == Errc::kCancelled;
  for_each_requester([&](Requester& requester) {
    const Errc code = &requester != &first_ && joined_cancelled ? Errc::kUnavailable : error.code();
    send(requester, encode_error({.id = requester.id, .code = code, .retry_after_ms = retry_after_ms_, .text = text}));
  });
  if (key_entered_ && !invites_retry(error.code())) remember(false, error.code(), std::as_bytes(std::span(text)));
  finished(false);
}

void ServerCall::abandon() noexcept {
  if (key_entered_) core_.cache.forget(key_);
  key_entered_ = false;
  done_ = true;
  method_.in_flight.add(-1);
}

void ServerCall::finished(bool ok) {
  done_ = true;
  disarm();
  if (key_entered_) core_.cache.forget(key_);
  key_entered_ = false;
  const runtime::Duration took = core_.env.now() - since_;
  core_.admission.served(took);
  method_.requests.add();
  if (!ok) method_.errors.add();
  method_.latency.record(took);
  method_.in_flight.add(-1);
}

runtime::Task<void> ServerCall::flush() {
  for (Unsent& one : unsent_) {
    net::Connection& connection = *one.connection;
    while (!connection.closed()) {
      const Result<> room = co_await with_deadline(deadline(), "answer", connection.writable());
      if (!room) {
        connection.close(Error(Errc::kExhausted, "peer reads its answers too slowly"));
        break;
      }
      if (send_or_keep(connection, one.message)) break;
    }
  }
}

}  // namespace ff::rpc
