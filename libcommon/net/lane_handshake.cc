#include "libcommon/net/lane_handshake.hpp"

#include <fmt/core.h>
#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "libcommon/net/frame.hpp"
#include "libcommon/net/socket.hpp"
#include "libcommon/net/tls_socket.hpp"

namespace ff::net {
namespace {

using runtime::Task;

// A lane in the making.
struct Wire {
  std::unique_ptr<runtime::Socket> socket;
  std::vector<std::byte> binding;  // of TLS; empty without
  bool encrypted = false;
};

Task<Result<Wire>> wrap(std::unique_ptr<runtime::Socket> socket, const TlsContext* tls, bool as_server) {
  if (tls == nullptr) co_return Wire{std::move(socket), {}, false};
  FF_CO_TRY_ASSIGN(TlsSession session, as_server ? TlsSession::server(*tls) : TlsSession::client(*tls));
  auto encrypted = std::make_unique<TlsSocket>(std::move(socket), std::move(session));
  FF_CO_TRY(co_await encrypted->handshake());
  FF_CO_TRY_ASSIGN(const auto binding, encrypted->channel_binding());
  co_return Wire{std::move(encrypted), {binding.begin(), binding.end()}, true};
}

Task<Result<>> send_frame(runtime::Socket& socket, HandshakeMessage message) {
  const FrameHeaderBytes head = encode_frame_header(checked_header(message.type, message.payload));
  const iovec parts[2] = {{const_cast<std::byte*>(head.data()), head.size()},
                          {message.payload.data(), message.payload.size()}};
  co_return co_await socket.write({parts, message.payload.empty() ? 1u : 2u});
}

Task<Result<HandshakeMessage>> receive_frame(runtime::Socket& socket) {
  FrameHeaderBytes head;
  FF_CO_TRY(co_await socket.read_exact(head));
  FF_CO_TRY_ASSIGN(const FrameHeader header, decode_frame_header(head));
  if (header.type > FrameType::kReject)
    co_return fail(Errc::kCorrupt, fmt::format("handshake: a {} frame before its end", frame_type_name(header.type)));
  HandshakeMessage message{.type = header.type, .payload = std::vector<std::byte>(header.length)};
  FF_CO_TRY(co_await socket.read_exact(message.payload));
  FF_CO_TRY(check_payload(header, message.payload));
  co_return message;
}

// Tells the peer why before the lane closes.
template <class Handshake>
Task<Error> refuse(runtime::Socket& socket, const Handshake& handshake, Error why) {
  if (auto reject = handshake.reject()) (void)co_await send_frame(socket, std::move(*reject));
  co_return why;
}

bool trusts(const LaneServer& server, int fd) {
  const auto credentials = peer_credentials(fd);
  if (!credentials) return false;
  return std::ranges::any_of(server.trusted_uids,
                             [&](uid_t uid) { return uid == credentials->uid || uid == kAnyUser; });
}

}  // namespace

Task<Result<Lane>> shake_as_client(std::unique_ptr<runtime::Socket> socket, const Endpoint& endpoint,
                                   const TlsContext* tls, const LinkSession* link, std::uint16_t number) {
  FF_CO_TRY_ASSIGN(Wire wire, co_await wrap(std::move(socket), tls, false));
  FF_CO_TRY_ASSIGN(ClientHandshake handshake, link == nullptr
                                                  ? ClientHandshake::open_link(endpoint, wire.binding)
                                                  : ClientHandshake::open_lane(endpoint, *link, number, wire.binding));
  FF_CO_TRY(co_await send_frame(*wire.socket, handshake.start()));
  while (true) {
    FF_CO_TRY_ASSIGN(const HandshakeMessage message, co_await receive_frame(*wire.socket));
    auto step = handshake.feed(message.type, message.payload);
    if (!step) co_return fail(co_await refuse(*wire.socket, handshake, std::move(step).error()));
    if (step->send) FF_CO_TRY(co_await send_frame(*wire.socket, std::move(*step->send)));
    if (step->done) co_return Lane{std::move(wire.socket), std::move(*step->done), number, wire.encrypted};
  }
}

Task<Result<Lane>> shake_as_server(std::unique_ptr<runtime::Socket> socket, const LaneServer& server) {
  FF_CO_TRY_ASSIGN(Wire wire, co_await wrap(std::move(socket), server.tls, true));
  const auto find_link = [&links = server.links](const LinkId& id) { return links.find(id); };
  FF_CO_TRY_ASSIGN(ServerHandshake handshake, ServerHandshake::create(server.endpoint, find_link, wire.binding));
  bool keyless = false;
  while (true) {
    FF_CO_TRY_ASSIGN(const HandshakeMessage message, co_await receive_frame(*wire.socket));
    auto step = handshake.feed(message.type, message.payload);
    const bool hello = message.type == FrameType::kHello;
    if (!step && hello && !keyless && step.error().code() == Errc::kPermission && trusts(server, wire.socket->fd())) {
      // A user who needs no key, and uses none.
      keyless = true;
      FF_CO_TRY_ASSIGN(handshake, ServerHandshake::create(server.keyless, find_link, wire.binding));
      step = handshake.feed(message.type, message.payload);
    }
    if (!step) co_return fail(co_await refuse(*wire.socket, handshake, std::move(step).error()));
    std::uint64_t admission = 0;
    if (step->done) {
      FF_CO_TRY_ASSIGN(admission, co_await server.links.admit(*step->done, handshake.lane()));
    }
    if (step->send) {
      if (Result<> sent = co_await send_frame(*wire.socket, std::move(*step->send)); !sent) {
        if (step->done && handshake.lane() == 0) server.links.withdraw(step->done->id);
        co_return fail(std::move(sent).error());
      }
    }
    if (step->done)
      co_return Lane{std::move(wire.socket), std::move(*step->done), handshake.lane(), wire.encrypted, admission};
  }
}

}  // namespace ff::net
