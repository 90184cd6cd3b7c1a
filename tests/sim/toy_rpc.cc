#include "tests/sim/toy_rpc.hpp"

#include <cstring>
#include <sstream>

namespace ff::sim {

void Inbox::on_message(net::Connection& connection, std::span<const std::byte> message) {
  std::string text(reinterpret_cast<const char*>(message.data()), message.size());
  if (!messages.try_send(text)) connection.close(Error(Errc::kExhausted, "inbox full"));
}

void Inbox::on_closed(net::Connection&, const Error&) { messages.close(); }

Result<> send_text(net::Connection& connection, const std::string& text) {
  net::Message message(text.size());
  std::memcpy(message.payload().data(), text.data(), text.size());
  return connection.send(std::move(message));
}

namespace {

Task<void> session(Service& service, std::shared_ptr<net::Connection> connection, Inbox& inbox) {
  connection->start(inbox);
  for (;;) {
    auto request = co_await inbox.messages.receive();
    if (!request) co_return;
    auto reply = co_await service.answer(std::move(*request));
    if (!reply || !send_text(*connection, *reply)) {
      connection->close(Error(Errc::kUnavailable, "no answer"));
      co_return;
    }
  }
}

}  // namespace

Task<Result<>> serve(SimEnv& env, Service& service) {
  std::list<Inbox> inboxes;
  FF_CO_TRY_ASSIGN(auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
  Scope sessions(co_await runtime::current_context());
  for (;;) {
    auto connection = co_await listener->accept();
    if (!connection) {
      sessions.cancel();
      (void)co_await sessions.join();
      co_return std::unexpected(connection.error());
    }
    sessions.spawn(session(service, std::move(*connection), inboxes.emplace_back()));
  }
}

Client::~Client() {
  if (connection_) connection_->close(Error(Errc::kCancelled, "client is done"));
}

Task<Result<std::string>> Client::try_call(std::string request) {
  if (!connection_ || connection_->closed()) {
    FF_CO_TRY_ASSIGN(connection_, co_await env_.network().connect(env_.world().address(server_, kPort), {}));
    connection_->start(inboxes_.emplace_back());
  }
  FF_CO_TRY(send_text(*connection_, request));
  co_return co_await inboxes_.back().messages.receive();
}

Task<Result<std::string>> Client::call(std::string request, Duration timeout) {
  auto reply = co_await runtime::with_timeout(timeout, "call", try_call(std::move(request)));
  // A late reply must not be taken for that of the next request.
  if (!reply && connection_) connection_->close(Error(Errc::kCancelled, "no reply"));
  co_return reply;
}

Words split(const std::string& text) {
  std::istringstream in(text);
  Words out;
  in >> out.verb >> out.a >> out.b;
  return out;
}

}  // namespace ff::sim
