// The handshake that opens every lane of a link: both sides prove that they hold the cluster key and say who they are.
// Sans-I/O: these classes take payloads of handshake frames and give the next; the transport moves them, bounds the
// time they may take (seconds) and closes the lane on any error.
//
//   client                                  server
//   kHello      label, version, lane, mode, features offered, link id, nonce, identity        ->
//   <-          label, version, mode, features chosen, nonce, identity                kChallenge
//   kProof      HMAC of the transcript, "client proof"                                        ->
//   <-          HMAC of the transcript and the client's proof, "server proof"            kAccept
//   kReject     from either side in place of its message: code and text; then the sender closes
//
// Payloads (little-endian; a text is u8 length and bytes)
//   kHello      "ffhs" u16 version u16 lane u8 mode u64 features u8[16] link u8[32] nonce  text role u64 node u64
//   instance kChallenge  "ffhs" u16 version u8 mode u64 features u8[32] nonce  text role u64 node u64 instance kProof
//   u8[32] kAccept     u8[32] kReject     "ffhs" u16 version u8 code, rest: text
//
// Proofs (all HMAC-SHA256; "||" joins; every label ends in a zero byte)
//   transcript = SHA-256("fire-flyer link handshake 1" 0 || u32 size(hello) || hello || u32 size(challenge) ||
//   challenge
//                || u32 size(binding) || binding)              binding: TLS exporter value of the lane, or nothing
//   base key   = lane 0: the cluster key; lane > 0: the link secret of its lane 0; no key: 32 zero bytes
//   kProof     = HMAC(base, "client proof" 0 || transcript)
//   kAccept    = HMAC(base, "server proof" 0 || transcript || client's proof)
//   link secret = HMAC(base, "link secret" 0 || transcript)    kept by both sides of lane 0
//
// What that gives
//   Replay      both nonces are in the transcript; each side chooses its own anew for each lane.
//   Reflection  the two proofs have different labels, the two first messages different roles in the transcript.
//   Splicing    version, mode, features, lane, link and both identities are in the transcript. A lane > 0 can only be
//               opened with the link secret, which only the two processes of lane 0 know.
//   Relaying    with TLS, the binding ties the handshake to the one TLS session that it ran in.
//   It does not encrypt or protect what follows: that is TLS's (tls.hpp). Without TLS, who can write into the TCP
//   stream can write frames.
// Without a key the same messages travel with a public base key: they tell who claims to be there and prove nothing.
// Both sides must have chosen that (Endpoint::insecure).
//
// Errors   kPermission: wrong key, one side has a key and the other none. kUnsupported: another version, a required
//          feature that the peer lacks. kCorrupt: malformed payloads. kNotFound: a lane of a link that the server does
//          not know. kAlreadyExists: lane 0 of a link that it knows. kInvalidArgument: messages out of order or too
//          long. An error received as kReject keeps its code, and says "peer ...".
// Threads  One lane, one object; not to be shared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/net/frame.hpp"

namespace ff::net {

inline constexpr std::uint16_t kHandshakeVersion = 1;
inline constexpr std::size_t kRoleBytesMax = 32;
inline constexpr std::uint16_t kLanesMax = 256;
inline constexpr std::size_t kBindingBytesMax = 64;

// Bits of Endpoint::offered; what both offer is in force. Numbers are on the wire.
inline constexpr std::uint64_t kFeatureMessageChecksum = 1;  // kMessage carries kFlagPayloadChecked
inline constexpr std::uint64_t kFeatureBulkChecksum = 2;     // kBulk carries kFlagPayloadChecked

struct NodeIdentity {
  std::string role;               // 1 to kRoleBytesMax of a-z 0-9 - _: "storage", "meta", "client"
  std::uint64_t node_id = 0;      // given by the cluster; 0 for processes without one
  std::uint64_t instance_id = 0;  // random for each start of the process, never 0: tells a restart from a return

  std::string text() const;  // "storage 7 (instance 0123456789abcdef)"
  bool operator==(const NodeIdentity&) const = default;
};

using LinkId = std::array<std::byte, 16>;

// 32 bytes that are wiped when they go.
struct LinkSecret {
  std::array<std::byte, 32> bytes{};

  LinkSecret() = default;
  LinkSecret(const LinkSecret&) = default;
  LinkSecret& operator=(const LinkSecret&) = default;
  ~LinkSecret();
};

// Fills its argument with random bytes that nobody can guess.
using RandomFill = std::function<void(std::span<std::byte>)>;
// The kernel's random source.
void secure_random(std::span<std::byte> out);

// Who we are and what we accept: one for each process and kept for its life.
struct Endpoint {
  NodeIdentity identity;
  std::shared_ptr<const ClusterKey> key;  // null only with `insecure`
  bool insecure = false;                  // no key, said on purpose
  std::uint64_t features_offered = kFeatureMessageChecksum | kFeatureBulkChecksum;
  std::uint64_t features_required = 0;  // peers without these are refused
  RandomFill random = secure_random;    // simulations pass their own
};

// Who is at the other end, as far as a handshake can tell; peer.hpp's PeerIdentity is what the transport makes of it.
struct HandshakePeer {
  NodeIdentity node;
  bool authenticated = false;  // proved that it holds the cluster key; false without keys
};

// A link as its two ends know it once lane 0 stands. Its secret opens further lanes.
struct LinkSession {
  LinkId id{};
  LinkSecret secret;
  HandshakePeer peer;
  std::uint64_t features = 0;  // in force: offered by both
};

struct HandshakeMessage {
  FrameType type = FrameType::kHello;
  std::vector<std::byte> payload;  // at most kHandshakeBytesMax
};

// What one received message leads to. Both empty never happens.
struct HandshakeStep {
  std::optional<HandshakeMessage> send;  // send it (first)
  std::optional<LinkSession> done;       // the lane stands
};

struct HandshakeRefusal;  // inside auth.cc

class ClientHandshake {
 public:
  // Lane 0 of a new link, whose id is drawn from endpoint.random. `binding`: TlsSession::channel_binding() or empty.
  // kInvalidArgument when the endpoint has neither key nor `insecure`, both, a malformed identity,
  // or requires features that it does not offer.
  static Result<ClientHandshake> open_link(const Endpoint& endpoint, std::span<const std::byte> binding = {});
  // Lane 1..kLanesMax-1 of a link that stands. The server must be the same process (node and instance), else
  // kUnavailable: the link is gone.
  static Result<ClientHandshake> open_lane(const Endpoint& endpoint, const LinkSession& link, std::uint16_t lane,
                                           std::span<const std::byte> binding = {});

  // kHello: send it first.
  HandshakeMessage start() const;
  Result<HandshakeStep> feed(FrameType type, std::span<const std::byte> payload);
  // After feed() failed: what to send before closing, if anything. Nothing in answer to a kReject.
  std::optional<HandshakeMessage> reject() const { return reject_; }

 private:
  enum class State : std::uint8_t { kWaitChallenge, kWaitAccept, kDone, kFailed };
  ClientHandshake() = default;
  static Result<ClientHandshake> open(const Endpoint& endpoint, std::uint16_t lane, LinkSession link,
                                      std::span<const std::byte> binding);
  std::expected<HandshakeStep, HandshakeRefusal> on_challenge(std::span<const std::byte> payload);
  std::expected<HandshakeStep, HandshakeRefusal> on_accept(std::span<const std::byte> payload);

  State state_ = State::kWaitChallenge;
  std::uint16_t lane_ = 0;
  bool keyed_ = false;
  std::uint64_t offered_ = 0, required_ = 0;
  LinkSecret base_;  // key of the proofs
  std::vector<std::byte> hello_, binding_;
  LinkSecret expected_accept_;
  LinkSession link_;  // lane 0: filled on the way; lane > 0: given
  std::optional<HandshakeMessage> reject_;
};

class ServerHandshake {
 public:
  // Looks a link up by its id: of lanes that stand, on whatever thread they live. Called once, in feed(kHello).
  using FindLink = std::function<std::optional<LinkSession>(const LinkId&)>;

  static Result<ServerHandshake> create(const Endpoint& endpoint, FindLink find_link,
                                        std::span<const std::byte> binding = {});

  // The step that has `done` has `send` (kAccept) too. Two lanes of one number, and two links of one id that shake
  // hands at the same time, are the caller's to refuse.
  Result<HandshakeStep> feed(FrameType type, std::span<const std::byte> payload);
  std::optional<HandshakeMessage> reject() const { return reject_; }
  // Valid after feed(kHello) succeeded.
  std::uint16_t lane() const noexcept { return lane_; }

 private:
  enum class State : std::uint8_t { kWaitHello, kWaitProof, kDone, kFailed };
  ServerHandshake() = default;
  std::expected<HandshakeStep, HandshakeRefusal> on_hello(std::span<const std::byte> payload);
  std::expected<HandshakeStep, HandshakeRefusal> on_proof(std::span<const std::byte> payload);

  State state_ = State::kWaitHello;
  std::uint16_t lane_ = 0;
  Endpoint endpoint_;
  FindLink find_link_;
  std::vector<std::byte> binding_;
  LinkSecret expected_proof_, accept_;
  LinkSession link_;
  std::optional<HandshakeMessage> reject_;
};

}  // namespace ff::net
