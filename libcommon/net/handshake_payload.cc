#include "libcommon/net/handshake_payload.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "libcommon/net/wire.hpp"

namespace ff::net {
namespace {

constexpr std::string_view kTag = "ffhs";
constexpr std::string_view kTranscriptLabel{"fire-flyer link handshake 1\0", 28};
// The code on the wire is the place in this list: it only grows at its end.
constexpr std::array kRejectCodes = {Errc::kInternal,      Errc::kInvalidArgument, Errc::kPermission,
                                     Errc::kUnsupported,   Errc::kCorrupt,         Errc::kNotFound,
                                     Errc::kAlreadyExists, Errc::kUnavailable,     Errc::kExhausted};

std::unexpected<Error> corrupt(std::string_view what, std::string_view reason) {
  return fail(Errc::kCorrupt, fmt::format("handshake: {}: {}", what, reason));
}

bool is_role(std::string_view role) {
  return !role.empty() && role.size() <= kRoleBytesMax && std::ranges::all_of(role, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

WireWriter begin() {
  WireWriter out;
  out.text(kTag).number(kHandshakeVersion);
  return out;
}

// Tag and version come first in all versions, so that others can be told from garbage.
Result<> read_begin(WireReader& in, std::string_view what) {
  const bool tagged = in.text(kTag.size()) == kTag;
  const auto version = in.number<std::uint16_t>();
  if (!tagged || !in.good()) return corrupt(what, "is none");
  if (version != kHandshakeVersion)
    return fail(Errc::kUnsupported, fmt::format("handshake: peer speaks version {}, this program version {} (run the "
                                                "same release at both ends)",
                                                version, kHandshakeVersion));
  return {};
}

void write_identity(WireWriter& out, const NodeIdentity& identity) {
  out.number(static_cast<std::uint8_t>(identity.role.size())).text(identity.role);
  out.number(identity.node_id).number(identity.instance_id);
}

NodeIdentity read_identity(WireReader& in) {
  NodeIdentity out;
  out.role = in.text(in.number<std::uint8_t>());
  out.node_id = in.number<std::uint64_t>();
  out.instance_id = in.number<std::uint64_t>();
  return out;
}

Result<> check_common(const WireReader& in, std::uint8_t mode, const NodeIdentity& identity, std::string_view what) {
  if (!in.complete()) return corrupt(what, "has another length");
  if (mode > static_cast<std::uint8_t>(KeyMode::kClusterKey)) return corrupt(what, fmt::format("no key mode {}", mode));
  if (!is_role(identity.role)) return corrupt(what, "its role is no role name");
  if (identity.instance_id == 0) return corrupt(what, "its instance id is 0");
  return {};
}

}  // namespace

std::string NodeIdentity::text() const { return fmt::format("{} {} (instance {:016x})", role, node_id, instance_id); }

Result<> check_identity(const NodeIdentity& identity) {
  if (!is_role(identity.role))
    return fail(Errc::kInvalidArgument,
                fmt::format("node identity: role '{}' (give 1 to {} of a-z 0-9 - _)", identity.role, kRoleBytesMax));
  if (identity.instance_id == 0)
    return fail(Errc::kInvalidArgument, "node identity: instance id 0 (draw a random one at each start)");
  return {};
}

std::vector<std::byte> encode_hello(const Hello& hello) {
  WireWriter out = begin();
  out.number(hello.lane).number(static_cast<std::uint8_t>(hello.mode)).number(hello.features);
  out.bytes(hello.link).bytes(hello.nonce);
  write_identity(out, hello.identity);
  return out.take();
}

Result<Hello> decode_hello(std::span<const std::byte> payload) {
  WireReader in(payload);
  FF_TRY(read_begin(in, "hello"));
  Hello out;
  out.lane = in.number<std::uint16_t>();
  const auto mode = in.number<std::uint8_t>();
  out.mode = static_cast<KeyMode>(mode);
  out.features = in.number<std::uint64_t>();
  in.copy_to(out.link);
  in.copy_to(out.nonce);
  out.identity = read_identity(in);
  FF_TRY(check_common(in, mode, out.identity, "hello"));
  if (out.lane >= kLanesMax) return corrupt("hello", fmt::format("lane {}, of at most {}", out.lane, kLanesMax));
  return out;
}

std::vector<std::byte> encode_challenge(const Challenge& challenge) {
  WireWriter out = begin();
  out.number(static_cast<std::uint8_t>(challenge.mode)).number(challenge.features).bytes(challenge.nonce);
  write_identity(out, challenge.identity);
  return out.take();
}

Result<Challenge> decode_challenge(std::span<const std::byte> payload) {
  WireReader in(payload);
  FF_TRY(read_begin(in, "challenge"));
  Challenge out;
  const auto mode = in.number<std::uint8_t>();
  out.mode = static_cast<KeyMode>(mode);
  out.features = in.number<std::uint64_t>();
  in.copy_to(out.nonce);
  out.identity = read_identity(in);
  FF_TRY(check_common(in, mode, out.identity, "challenge"));
  return out;
}

std::vector<std::byte> encode_reject(const Error& error) {
  WireWriter out = begin();
  const auto found = std::ranges::find(kRejectCodes, error.code());
  const auto code = found == kRejectCodes.end() ? 0 : found - kRejectCodes.begin();
  out.number(static_cast<std::uint8_t>(code)).text(bounded_reason(error.message()));
  return out.take();
}

Error decode_reject(std::span<const std::byte> payload) {
  WireReader in(payload);
  const bool tagged = in.text(kTag.size()) == kTag;
  const auto version = in.number<std::uint16_t>();
  const unsigned code = in.number<std::uint8_t>();
  if (!tagged || !in.good()) return Error(Errc::kCorrupt, "handshake: reject: is none");
  // Read in all versions: that the peer is of another one may be what it says.
  if (version != kHandshakeVersion)
    return Error(Errc::kUnsupported, fmt::format("handshake: peer speaks version {}, this program version {} (run the "
                                                 "same release at both ends)",
                                                 version, kHandshakeVersion));
  if (code >= kRejectCodes.size())
    return Error(Errc::kCorrupt, fmt::format("handshake: reject: no error code {}", code));
  return Error(kRejectCodes[code], "peer " + reason_text(in.rest()));
}

Digest transcript_of(std::span<const std::byte> hello, std::span<const std::byte> challenge,
                     std::span<const std::byte> binding) {
  std::array<std::byte, 4> a, b, c;
  store_le(a.data(), static_cast<std::uint32_t>(hello.size()));
  store_le(b.data(), static_cast<std::uint32_t>(challenge.size()));
  store_le(c.data(), static_cast<std::uint32_t>(binding.size()));
  return sha256({std::as_bytes(std::span(kTranscriptLabel)), a, hello, b, challenge, c, binding});
}

}  // namespace ff::net
