#include "libcommon/rpc/client_link.hpp"

#include <fmt/core.h>
#include <google/protobuf/message_lite.h>

#include <cstring>

namespace ff::rpc {

PendingCall::~PendingCall() {
  if (link_ != nullptr) link_->leave(*this, false);
}

bool PendingCall::wait(runtime::Context& context, std::coroutine_handle<> handle) {
  if (context.cancelled()) {
    error_ = context.why();
    failure = {.code = error_->code()};
    link_->leave(*this, true);
    return false;
  }
  env_ = &context.env();
  suspend(handle);
  context.add(*this);
  env_->arm(*this, until);
  return true;
}

void PendingCall::wake() noexcept {
  CancelHook::unlink();
  disarm();
  env_->ready(*this);
}

void PendingCall::complete() noexcept {
  link_->leave(*this, false);
  wake();
}

void PendingCall::complete(Error error, Failure how) noexcept {
  error_ = std::move(error);
  failure = how;
  complete();
}

void PendingCall::expired() {
  error_.emplace(Errc::kTimeout, "no answer before the deadline");
  failure = {.code = Errc::kTimeout};
  link_->leave(*this, cancel_on_timeout);
  wake();
}

void PendingCall::on_cancel(const Error& why) {
  error_ = why;
  failure = {.code = why.code()};
  link_->leave(*this, true);
  wake();
}

ClientLink::ClientLink(Client& client, net::TrafficClass traffic) : client_(client), traffic_(traffic) {
  if (client.grants_ != nullptr) grant_peer = client.grants_->new_peer();
}

ClientLink::~ClientLink() {
  for (const Slot& slot : slots_) {
    if (slot.call == nullptr) continue;
    drop_grants(*slot.call);
    slot.call->forgotten();
  }
}

bool ClientLink::enter(PendingCall& call) {
  if (free_.empty()) {
    if (slots_.size() >= client_.options_.calls_max) return false;
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  slots_[index].call = &call;
  call.entered(*this, (std::uint64_t{slots_[index].generation} << 32) | index);
  return true;
}

void ClientLink::leave(PendingCall& call, bool cancel) {
  const auto index = static_cast<std::uint32_t>(call.id());
  slots_[index].call = nullptr;
  ++slots_[index].generation;
  free_.push_back(index);
  call.forgotten();
  if (cancel) this->cancel(call.id());
  drop_grants(call);
}

void ClientLink::drop_grants(const PendingCall& call) {
  if (call.asked) client_.grants_->drop(*this, call.id());
}

PendingCall* ClientLink::find(std::uint64_t id) const noexcept {
  const auto index = static_cast<std::uint32_t>(id);
  if (index >= slots_.size() || slots_[index].generation != id >> 32) return nullptr;
  return slots_[index].call;
}

void ClientLink::on_message(net::Connection& connection, std::span<const std::byte> message) {
  if (&connection != connection_.get()) return;
  if (Result<> result = dispatch(message); !result) connection.close(result.error());
}

Result<> ClientLink::dispatch(std::span<const std::byte> message) {
  FF_TRY_ASSIGN(const Type type, decode_type(message));
  switch (type) {
    case Type::kResponse: {
      FF_TRY_ASSIGN(const ResponseView view, decode_response(message));
      return answer(view);
    }
    case Type::kError: {
      FF_TRY_ASSIGN(const ErrorView view, decode_error(message));
      error(view);
      return {};
    }
    case Type::kBulkAsk:
    case Type::kBulkDone: {
      FF_TRY_ASSIGN(const ControlView view, decode_control(message));
      return control(view);
    }
    default: return fail(Errc::kCorrupt, fmt::format("rpc message: type {} is not for clients", int(type)));
  }
}

Result<> ClientLink::answer(const ResponseView& view) {
  PendingCall* call = find(view.id);
  if (call == nullptr) return {};  // given up meanwhile
  if (view.inline_bulk.size() > call->inline_receive.size()) {
    return fail(Errc::kCorrupt, fmt::format("rpc message: answer with {} bytes of bulk, there is room for {}",
                                            view.inline_bulk.size(), call->inline_receive.size()));
  }
  if (!call->reply->ParseFromArray(view.payload.data(), static_cast<int>(view.payload.size()))) {
    call->complete(Error(Errc::kCorrupt, "answer is no valid message (is the server of another version?)"),
                   {.code = Errc::kCorrupt});
    return {};
  }
  call->received = view.inline_bulk.size();
  if (!view.inline_bulk.empty())
    std::memcpy(call->inline_receive.data(), view.inline_bulk.data(), view.inline_bulk.size());
  call->complete();
  return {};
}

void ClientLink::error(const ErrorView& view) {
  PendingCall* call = find(view.id);
  if (call == nullptr) return;
  call->complete(Error(view.code, std::string(view.text)),
                 {.code = view.code, .may_have_run = view.executed, .retry_after_ms = view.retry_after_ms});
}

Result<> ClientLink::control(const ControlView& view) {
  PendingCall* call = find(view.id);
  if (call == nullptr || client_.grants_ == nullptr) return {};
  if (view.type == Type::kBulkDone) {
    client_.grants_->done(*this, view.id, view.grant);
    return {};
  }
  call->asked = true;
  if (client_.grants_->ask(*this, view.id, view.grant, view.bytes)) return {};
  return fail(Errc::kCorrupt, "rpc message: a call asks for a grant twice, or for too many");
}

void ClientLink::grant(std::uint64_t call, std::uint32_t grant) {
  send_control({.type = Type::kBulkGrant, .id = call, .grant = grant});
}

void ClientLink::send_control(const ControlView& control) {
  if (connection_ == nullptr || client_.stopping_) return;
  kept_.push_back(control);
  if (send_kept() || sending_kept_) return;
  sending_kept_ = true;
  client_.scope_.spawn(send_kept_loop(this));
}

bool ClientLink::send_kept() {
  while (!kept_.empty()) {
    const Result<> sent = connection_->send(encode_control(kept_.front()));
    if (!sent && sent.error().code() == Errc::kExhausted) return false;
    kept_.pop_front();  // a connection that is closed needs it no more
  }
  return true;
}

runtime::Task<void> ClientLink::send_kept_loop(ClientLink* link) {
  ClientLink& self = *link;
  while (!self.kept_.empty()) {
    const auto connection = self.connection_;
    const Result<> room = co_await connection->writable();
    if (connection != self.connection_) continue;  // what is kept belongs to the next one
    if (!room) break;
    (void)self.send_kept();
  }
  self.sending_kept_ = false;
}

void ClientLink::fail_all(const Error& why) {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (PendingCall* call = slots_[i].call) call->complete(why, {.code = why.code()});
}

void ClientLink::on_closed(net::Connection& connection, const Error& why) {
  serving_ = false;
  closing_.wake_all();
  if (&connection != connection_.get()) return;
  previous_ = std::move(connection_);
  kept_.clear();
  last_error_ = Error(Errc::kUnavailable, "connection lost: " + why.message());
  fail_all(*last_error_);
}

runtime::Task<Result<>> ClientLink::up(bool patient) {
  while (connection_ == nullptr) {
    if (client_.stopping_) co_return fail(Errc::kUnavailable, "client has been stopped");
    if (!patient && last_error_ && client_.env_.now() < retry_at_) co_return fail(*last_error_);
    if (!connecting_) {
      connecting_ = true;
      client_.scope_.spawn(connect_loop(this));
    }
    FF_CO_TRY(co_await (patient ? patient_ : hasty_).wait());
  }
  co_return {};
}

runtime::Task<void> ClientLink::connect_loop(ClientLink* link) {
  ClientLink& self = *link;
  const ClientOptions& options = self.client_.options_;
  runtime::Env& env = self.client_.env_;
  // An old connection that is still closing has its callback to come.
  while (self.serving_ && co_await self.closing_.wait()) {
  }
  while (self.connection_ == nullptr && !self.client_.stopping_ && !(self.patient_.empty() && self.hasty_.empty())) {
    if (env.now() < self.retry_at_ && !co_await runtime::sleep_until(self.retry_at_)) break;
    auto made = co_await env.network().connect(self.client_.peer_,
                                               {.traffic = self.traffic_, .timeout = options.connect_timeout});
    if (made && self.client_.stopping_) {
      (*made)->close(Error(Errc::kCancelled, "client has been stopped"));
      break;
    }
    if (made) {
      self.failures_ = 0;
      self.connection_ = std::move(*made);
      self.serving_ = true;
      self.connection_->start(self);
      self.patient_.wake_all();
      self.hasty_.wake_all();
      break;
    }
    ++self.failures_;
    self.retry_at_ = env.now() + backoff(env.rng(), self.failures_, options.reconnect_base, options.reconnect_most);
    self.last_error_ = std::move(made).error();
    self.hasty_.fail_all(*self.last_error_);
  }
  self.connecting_ = false;
}

void ClientLink::close() {
  const Error why(Errc::kUnavailable, "client has been stopped");
  patient_.fail_all(why);
  hasty_.fail_all(why);
  const auto connection = connection_;
  fail_all(why);
  if (connection != nullptr) connection->close(why);
}

runtime::Task<void> ClientLink::closed() {
  while (serving_ && co_await closing_.wait()) {
  }
}

}  // namespace ff::rpc
