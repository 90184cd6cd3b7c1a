#include <fmt/core.h>

#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/send.hpp"
#include "libcommon/rpc/server_core.hpp"

namespace ff::rpc {

ServerLink::ServerLink(ServerCore& core, std::shared_ptr<net::Connection> connection)
    : core_(core), connection_(std::move(connection)) {
  core_.links.push_back(*this);
  ++core_.link_count;
}

ServerLink::~ServerLink() { --core_.link_count; }

void ServerLink::close(const Error& why) { connection_->close(why); }

bool ServerLink::send(net::Message& message) { return closed_ || send_or_keep(*connection_, message); }

void ServerLink::refuse(std::uint64_t id, Errc code, std::uint32_t retry_after_ms, std::string_view text) {
  core_.refused.add();
  net::Message message =
      encode_error({.id = id, .code = code, .executed = false, .retry_after_ms = retry_after_ms, .text = text});
  // Nobody waits with this one: a peer that floods us and does not read the refusals is dropped.
  if (!send(message)) close(Error(Errc::kExhausted, "peer reads its answers too slowly"));
}

void ServerLink::call_ended(std::uint64_t charged_bytes) {
  --calls_;
  core_.admission.release(share_, charged_bytes);
  adapt_reading();
  leave_if_unused();
}

void ServerLink::waiting_for_grant(bool begins) {
  grant_waits_ += begins ? 1 : -1;
  adapt_reading();
}

void ServerLink::adapt_reading() {
  const bool pause = !closed_ && grant_waits_ == 0 && core_.admission.full(share_);
  if (pause == paused_) return;
  paused_ = pause;
  if (closed_) return;
  if (pause) {
    connection_->pause_reading();
  } else {
    connection_->resume_reading();
  }
}

void ServerLink::on_message(net::Connection&, std::span<const std::byte> message) {
  if (Result<> result = dispatch(message); !result) {
    core_.violations.add();
    close(result.error());
  }
}

void ServerLink::on_closed(net::Connection&, const Error& why) {
  closed_ = true;
  const Error lost(Errc::kUnavailable, "client is gone: " + why.message());
  while (ServerCall::Requester* requester = requesters_.pop_front()) requester->call->leave(*requester, lost, true);
  leave_if_unused();
  core_.changed.wake_all();
}

void ServerLink::leave_if_unused() {
  if (!closed_ || calls_ != 0) return;
  // Not here: this may be a call from inside the connection, which we may be the last to hold.
  unlink();
  core_.dead.push_back(*this);
  core_.reap_soon();
}

Result<> ServerLink::dispatch(std::span<const std::byte> message) {
  FF_TRY_ASSIGN(const Type type, decode_type(message));
  switch (type) {
    case Type::kRequest: {
      FF_TRY_ASSIGN(const RequestView view, decode_request(message));
      request(view, message.size());
      return {};
    }
    case Type::kCancel:
    case Type::kBulkGrant: {
      FF_TRY_ASSIGN(const ControlView view, decode_control(message));
      control(view);
      return {};
    }
    default: return fail(Errc::kCorrupt, fmt::format("rpc message: type {} is not for servers", int(type)));
  }
}

void ServerLink::control(const ControlView& view) {
  ServerCall::Requester* found = nullptr;
  requesters_.for_each([&](ServerCall::Requester& requester) {
    if (requester.id == view.id) found = &requester;
  });
  if (found == nullptr) return;  // it has been answered meanwhile
  if (view.type == Type::kCancel) {
    found->call->leave(*found, Error(Errc::kCancelled, "cancelled by the client"), false);
  } else {
    found->call->granted(view.grant);
  }
}

MethodState* ServerLink::admit(const RequestView& view, std::size_t message_bytes, std::uint64_t charged_bytes) {
  const std::uint64_t id = view.header.id;
  const auto found = core_.methods.find(view.header.method);
  if (found == core_.methods.end()) {
    refuse(id, Errc::kUnsupported, 0,
           fmt::format("no method with id {:#010x} here (is the server of another version?)", view.header.method));
    return nullptr;
  }
  MethodState& method = *found->second;
  if (core_.stopping) {
    refuse(id, Errc::kUnavailable, 0, "server is stopping");
    return nullptr;
  }
  if (method.service->authorize) {
    if (Result<> allowed = method.service->authorize(connection_->peer()); !allowed) {
      refuse(id, allowed.error().code(), 0, allowed.error().message());
      return nullptr;
    }
  }
  if (message_bytes > core_.options.request_bytes_max) {
    refuse(id, Errc::kInvalidArgument, 0,
           fmt::format("request of {} bytes, this server takes {} (send large data as bulk)", message_bytes,
                       core_.options.request_bytes_max));
    return nullptr;
  }
  switch (core_.admission.admit(share_, charged_bytes)) {
    case Admission::Verdict::kAdmitted: return &method;
    case Admission::Verdict::kServerFull:
      refuse(id, Errc::kExhausted, core_.admission.retry_after_ms(),
             fmt::format("server has {} requests with {} bytes in flight", core_.admission.total().requests,
                         core_.admission.total().bytes));
      break;
    case Admission::Verdict::kShareFull:
      refuse(id, Errc::kExhausted, core_.admission.retry_after_ms(),
             fmt::format("this connection has {} requests with {} bytes in flight", share_.requests, share_.bytes));
      break;
    case Admission::Verdict::kTooLarge:
      refuse(id, Errc::kInvalidArgument, 0,
             fmt::format("request with its bulk has {} bytes, more than this server ever takes (split it)",
                         charged_bytes));
      break;
  }
  return nullptr;
}

void ServerLink::request(const RequestView& view, std::size_t message_bytes) {
  const RequestHeader& header = view.header;
  // Sums that overflow are larger than any limit too.
  std::uint64_t charged_bytes = 0;
  const bool overflow = __builtin_add_overflow(header.bulk_send.bytes, header.bulk_receive.bytes, &charged_bytes) ||
                        __builtin_add_overflow(charged_bytes, message_bytes + header.inline_receive, &charged_bytes);
  if (overflow) charged_bytes = UINT64_MAX;
  MethodState* method = admit(view, message_bytes, charged_bytes);
  if (method == nullptr) return;

  auto call = std::make_unique<ServerCall>(core_, *this, *method, view, charged_bytes);
  adapt_reading();
  if (header.key && !deduplicate(view, *call)) {
    call->abandon();
    return;
  }
  auto task = method->method->start(*method->service->service, call, view.payload);
  if (!task) {
    call->abandon();
    call.reset();
    refuse(header.id, Errc::kInvalidArgument, 0,
           "request bytes are no valid message for " + method->method->info.full_name());
    return;
  }
  core_.handlers.spawn(std::move(*task));
}

bool ServerLink::deduplicate(const RequestView& view, ServerCall& call) {
  const RequestHeader& header = view.header;
  const auto lookup = core_.cache.begin(header.key, header.settled_below, header.method, &call, core_.env.now(),
                                        std::chrono::microseconds(static_cast<std::int64_t>(header.timeout_us)));
  switch (lookup.outcome) {
    case IdempotencyCache::Outcome::kNew: call.key_entered(); return true;
    case IdempotencyCache::Outcome::kRunning:
      if (!lookup.running->join(*this, header.id))
        refuse(header.id, Errc::kExhausted, core_.admission.retry_after_ms(),
               fmt::format("{} repeated requests wait for the answer already", ServerCall::kJoinedMax));
      return false;
    case IdempotencyCache::Outcome::kStored: answer_stored(header.id, *lookup.stored); return false;
    case IdempotencyCache::Outcome::kSettled:
      refuse(header.id, Errc::kCancelled, 0, "late copy of a request that the client has settled");
      return false;
    case IdempotencyCache::Outcome::kConflict:
      refuse(header.id, Errc::kInvalidArgument, 0, "idempotency key was used for another method (take a new one)");
      return false;
    case IdempotencyCache::Outcome::kFull:
      refuse(header.id, Errc::kExhausted, core_.admission.retry_after_ms(),
             "server keeps as many answers for repeated requests as it can");
      return false;
  }
  return false;
}

void ServerLink::answer_stored(std::uint64_t id, const StoredReply& reply) {
  const std::span<const std::byte> bytes = reply.bytes;
  net::Message message;
  if (reply.ok) {
    Draft draft = encode_response(id, bytes.first(reply.inline_bytes), bytes.size() - reply.inline_bytes);
    const auto payload = bytes.subspan(reply.inline_bytes);
    if (!payload.empty()) std::memcpy(draft.payload.data(), payload.data(), payload.size());
    message = std::move(draft.message);
  } else {
    message = encode_error(
        {.id = id, .code = reply.code, .text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  }
  if (!send(message)) close(Error(Errc::kExhausted, "peer reads its answers too slowly"));
}

}  // namespace ff::rpc
