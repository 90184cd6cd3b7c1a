// Whatever a stranger puts between two honest ends, an end that accepts has heard the other's own words and no others.
// The input is a list of messages: type, side, length in two bytes, payload. Length 0xffff stands for what the other
// end said last, changed: two bytes then name a place and what is added there (0: nothing, so that later steps are
// reached).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/net/auth.hpp"
#include "libcommon/net/handshake_payload.hpp"
#include "libcommon/net/wire.hpp"

namespace {

using namespace ff::net;

Endpoint endpoint(std::string role) {
  static const auto key =
      std::make_shared<const ClusterKey>(*ClusterKey::parse("ffkey1 " + std::string(64, '7') + "\n"));
  int next = 0;
  return {.identity = {std::move(role), 1, 2}, .key = key, .random = [next](std::span<std::byte> out) mutable {
            for (std::byte& b : out) b = static_cast<std::byte>(next++);
          }};
}

struct Said {
  FrameType type;
  std::vector<std::byte> payload;
  bool operator==(const Said&) const = default;
};

// One end, what it said and what it believed: the messages that it took without an error.
template <class Handshake>
struct End {
  Handshake handshake;
  std::vector<Said> sent = {}, taken = {};
  bool over = false;
  bool accepted = false;

  void feed(const Said& message) {
    if (over) return;
    const auto step = handshake.feed(message.type, message.payload);
    if (!step) {
      if (handshake.reject()) FF_ASSERT(handshake.reject()->payload.size() <= kHandshakeBytesMax);
      over = true;
      return;
    }
    FF_ASSERT(step->send || step->done);
    taken.push_back(message);
    if (step->send) sent.push_back({step->send->type, step->send->payload});
    if (step->done) accepted = over = true;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const auto input = std::as_bytes(std::span(data, bytes));
  static_cast<void>(decode_reject(input));
  if (const auto hello = decode_hello(input)) FF_ASSERT(std::ranges::equal(encode_hello(*hello), input));
  if (const auto challenge = decode_challenge(input))
    FF_ASSERT(std::ranges::equal(encode_challenge(*challenge), input));

  End<ClientHandshake> client{*ClientHandshake::open_link(endpoint("client"))};
  End<ServerHandshake> server{
      *ServerHandshake::create(endpoint("server"), [](const LinkId&) { return std::optional<LinkSession>(); })};
  const HandshakeMessage hello = client.handshake.start();
  client.sent.push_back({hello.type, hello.payload});
  WireReader in(input);
  while (in.good()) {
    const auto type = static_cast<FrameType>(in.number<std::uint8_t>());
    const bool to_server = in.number<std::uint8_t>() % 2 == 0;
    const auto length = in.number<std::uint16_t>();
    if (!in.good()) break;
    const auto& source = to_server ? client.sent : server.sent;
    Said message;
    if (length == 0xffff && !source.empty()) {
      message = source.back();
      const std::size_t place = in.number<std::uint8_t>();
      std::byte& changed = message.payload[place % message.payload.size()];
      changed = static_cast<std::byte>(static_cast<unsigned>(changed) + in.number<std::uint8_t>());
    } else {
      const auto payload = in.bytes(length);
      message = {type, {payload.begin(), payload.end()}};
    }
    to_server ? server.feed(message) : client.feed(message);
  }
  // Who accepts has heard all that the other said, and nothing else; and was heard in the same way.
  if (server.accepted) FF_ASSERT(server.taken == client.sent && client.taken.front() == server.sent.front());
  if (client.accepted) FF_ASSERT(client.taken == server.sent && server.taken == client.sent);
  return 0;
}
