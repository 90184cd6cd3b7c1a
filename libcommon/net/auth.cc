#include "libcommon/net/auth.hpp"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "libcommon/net/crypto.hpp"
#include "libcommon/net/handshake_payload.hpp"

namespace ff::net {

// Why this side gives up, for the caller, and what the peer is told; nothing when the peer gave up first.
struct HandshakeRefusal {
  Error error;
  std::string told;
};

namespace {

using Step = std::expected<HandshakeStep, HandshakeRefusal>;

std::unexpected<HandshakeRefusal> refuse(Errc code, std::string reason, std::string told) {
  return std::unexpected(HandshakeRefusal{Error(code, "handshake: " + std::move(reason)), std::move(told)});
}

std::unexpected<HandshakeRefusal> unreadable(Error error) {
  std::string told = error.code() == Errc::kUnsupported ? fmt::format("speaks handshake version {}", kHandshakeVersion)
                                                        : "cannot read the message: " + error.message();
  return std::unexpected(HandshakeRefusal{std::move(error), std::move(told)});
}

std::unexpected<HandshakeRefusal> unexpected_type(FrameType got, std::string_view wanted) {
  return refuse(Errc::kInvalidArgument, fmt::format("got {} where {} was due", frame_type_name(got), wanted),
                fmt::format("got {} where {} was due", frame_type_name(got), wanted));
}

Result<> check_endpoint(const Endpoint& endpoint, std::span<const std::byte> binding) {
  if (endpoint.key == nullptr && !endpoint.insecure)
    return fail(Errc::kInvalidArgument, "handshake: no cluster key (give the cluster's key file, or choose insecure)");
  if (endpoint.key != nullptr && endpoint.insecure)
    return fail(Errc::kInvalidArgument, "handshake: a cluster key and insecure exclude each other (drop one)");
  if ((endpoint.features_required & ~endpoint.features_offered) != 0)
    return fail(Errc::kInvalidArgument, "handshake: features are required that are not offered");
  if (!endpoint.random) return fail(Errc::kInvalidArgument, "handshake: no source of random bytes");
  if (binding.size() > kBindingBytesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("handshake: binding of {} bytes, {} are the most", binding.size(), kBindingBytesMax));
  return check_identity(endpoint.identity);
}

// Key of the proofs of lane 0.
LinkSecret cluster_base(const Endpoint& endpoint) {
  LinkSecret out;
  if (endpoint.key != nullptr) std::ranges::copy(endpoint.key->bytes(), out.bytes.begin());
  return out;
}

LinkSecret secret_of(Digest digest) {
  LinkSecret out;
  out.bytes = digest;
  wipe(digest);
  return out;
}

struct Proofs {
  LinkSecret client, server, link;
};

Proofs make_proofs(const LinkSecret& base, const Digest& transcript) {
  Proofs out;
  out.client = secret_of(labelled_hmac(base.bytes, "client proof", {transcript}));
  out.server = secret_of(labelled_hmac(base.bytes, "server proof", {transcript, out.client.bytes}));
  out.link = secret_of(labelled_hmac(base.bytes, "link secret", {transcript}));
  return out;
}

HandshakeMessage message(FrameType type, std::span<const std::byte> payload) {
  return {type, std::vector<std::byte>(payload.begin(), payload.end())};
}

std::optional<HandshakeMessage> reject_message(const HandshakeRefusal& refusal) {
  if (refusal.told.empty()) return std::nullopt;
  return HandshakeMessage{FrameType::kReject, encode_reject(Error(refusal.error.code(), refusal.told))};
}

// What holds for every message at either side, before it is looked into.
std::expected<void, HandshakeRefusal> check_message(FrameType type, std::span<const std::byte> payload) {
  if (payload.size() > kHandshakeBytesMax)
    return refuse(Errc::kInvalidArgument,
                  fmt::format("message of {} bytes, {} are the most", payload.size(), kHandshakeBytesMax),
                  "got a handshake message that is too long");
  if (type == FrameType::kReject) return std::unexpected(HandshakeRefusal{decode_reject(payload), {}});
  return {};
}

}  // namespace

LinkSecret::~LinkSecret() { wipe(bytes); }

void secure_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    FF_ASSERT(n > 0, n, errno);
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

Result<ClientHandshake> ClientHandshake::open(const Endpoint& endpoint, std::uint16_t lane, LinkSession link,
                                              std::span<const std::byte> binding) {
  ClientHandshake out;
  out.lane_ = lane;
  out.keyed_ = endpoint.key != nullptr;
  // A further lane has no choice: the link's features are in force.
  out.offered_ = lane == 0 ? endpoint.features_offered : link.features;
  out.required_ = lane == 0 ? endpoint.features_required : link.features;
  out.base_ = lane == 0 ? cluster_base(endpoint) : link.secret;
  out.binding_.assign(binding.begin(), binding.end());
  Hello hello{.lane = lane,
              .mode = out.keyed_ ? KeyMode::kClusterKey : KeyMode::kInsecure,
              .features = out.offered_,
              .link = link.id,
              .nonce = {},
              .identity = endpoint.identity};
  endpoint.random(hello.nonce);
  out.hello_ = encode_hello(hello);
  out.link_ = std::move(link);
  return out;
}

Result<ClientHandshake> ClientHandshake::open_link(const Endpoint& endpoint, std::span<const std::byte> binding) {
  FF_TRY(check_endpoint(endpoint, binding));
  LinkSession link;
  endpoint.random(link.id);
  return open(endpoint, 0, std::move(link), binding);
}

Result<ClientHandshake> ClientHandshake::open_lane(const Endpoint& endpoint, const LinkSession& link,
                                                   std::uint16_t lane, std::span<const std::byte> binding) {
  FF_TRY(check_endpoint(endpoint, binding));
  if (lane == 0 || lane >= kLanesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("handshake: lane {} (further lanes are 1 to {})", lane, kLanesMax - 1));
  return open(endpoint, lane, link, binding);
}

HandshakeMessage ClientHandshake::start() const { return {FrameType::kHello, hello_}; }

Result<HandshakeStep> ClientHandshake::feed(FrameType type, std::span<const std::byte> payload) {
  if (state_ == State::kDone || state_ == State::kFailed)
    return fail(Errc::kInvalidArgument, "handshake: a message after its end");
  const auto checked = check_message(type, payload);
  const auto step = !checked ? Step(std::unexpected(checked.error()))
                    : state_ == State::kWaitChallenge
                        ? type == FrameType::kChallenge ? on_challenge(payload) : unexpected_type(type, "challenge")
                    : type == FrameType::kAccept ? on_accept(payload)
                                                 : unexpected_type(type, "accept");
  if (step) return *step;
  state_ = State::kFailed;
  reject_ = reject_message(step.error());
  return fail(step.error().error);
}

Step ClientHandshake::on_challenge(std::span<const std::byte> payload) {
  const auto challenge = decode_challenge(payload);
  if (!challenge) return unreadable(challenge.error());
  const bool peer_keyed = challenge->mode == KeyMode::kClusterKey;
  if (keyed_ && !peer_keyed)
    return refuse(Errc::kPermission,
                  "peer has no cluster key and runs insecure (give it the cluster's key file, or run both insecure)",
                  "requires a cluster key: this process has none (give it the cluster's key file)");
  if (!keyed_ && peer_keyed)
    return refuse(Errc::kPermission,
                  "peer requires a cluster key: this process has none (give it the cluster's key file)",
                  "has no cluster key");
  if ((challenge->features & ~offered_) != 0)
    return refuse(Errc::kCorrupt,
                  fmt::format("peer chose features {:#x}, offered were {:#x}", challenge->features, offered_),
                  "did not offer the features that were chosen");
  if ((required_ & ~challenge->features) != 0)
    return refuse(Errc::kUnsupported,
                  fmt::format("peer lacks required features {:#x} (run the same release and settings at both ends)",
                              required_ & ~challenge->features),
                  fmt::format("requires features {:#x}", required_));
  if (lane_ > 0 && challenge->identity != link_.peer.node)
    return refuse(Errc::kUnavailable,
                  fmt::format("lane {} reached {}, the link is with {} (it restarted, or a plane's address is another "
                              "machine's)",
                              lane_, challenge->identity.text(), link_.peer.node.text()),
                  "wants another process");
  const Proofs proofs = make_proofs(base_, transcript_of(hello_, payload, binding_));
  expected_accept_ = proofs.server;
  if (lane_ == 0) {
    link_.secret = proofs.link;
    link_.peer = {.node = challenge->identity, .authenticated = keyed_};
    link_.features = challenge->features;
  }
  state_ = State::kWaitAccept;
  return HandshakeStep{.send = message(FrameType::kProof, proofs.client.bytes), .done = {}};
}

Step ClientHandshake::on_accept(std::span<const std::byte> payload) {
  if (!equal_secret(payload, expected_accept_.bytes))
    return refuse(Errc::kPermission,
                  lane_ == 0
                      ? "peer did not prove that it holds the cluster key (is the address another cluster's?)"
                      : "peer did not prove that it holds the link's secret (does a plane's address lead elsewhere?)",
                  "does not accept the proof");
  state_ = State::kDone;
  return HandshakeStep{.send = {}, .done = link_};
}

Result<ServerHandshake> ServerHandshake::create(const Endpoint& endpoint, FindLink find_link,
                                                std::span<const std::byte> binding) {
  FF_TRY(check_endpoint(endpoint, binding));
  if (!find_link) return fail(Errc::kInvalidArgument, "handshake: no way to look links up");
  ServerHandshake out;
  out.endpoint_ = endpoint;
  out.find_link_ = std::move(find_link);
  out.binding_.assign(binding.begin(), binding.end());
  return out;
}

Result<HandshakeStep> ServerHandshake::feed(FrameType type, std::span<const std::byte> payload) {
  if (state_ == State::kDone || state_ == State::kFailed)
    return fail(Errc::kInvalidArgument, "handshake: a message after its end");
  const auto checked = check_message(type, payload);
  const auto step = !checked ? Step(std::unexpected(checked.error()))
                    : state_ == State::kWaitHello
                        ? type == FrameType::kHello ? on_hello(payload) : unexpected_type(type, "hello")
                    : type == FrameType::kProof ? on_proof(payload)
                                                : unexpected_type(type, "proof");
  if (step) return *step;
  state_ = State::kFailed;
  reject_ = reject_message(step.error());
  return fail(step.error().error);
}

Step ServerHandshake::on_hello(std::span<const std::byte> payload) {
  const auto hello = decode_hello(payload);
  if (!hello) return unreadable(hello.error());
  lane_ = hello->lane;
  const bool keyed = endpoint_.key != nullptr, peer_keyed = hello->mode == KeyMode::kClusterKey;
  if (keyed && !peer_keyed)
    return refuse(Errc::kPermission, fmt::format("{} has no cluster key, and one is required", hello->identity.text()),
                  "requires a cluster key: this process has none (give it the cluster's key file)");
  if (!keyed && peer_keyed)
    return refuse(Errc::kPermission,
                  fmt::format("{} has a cluster key, this process runs insecure", hello->identity.text()),
                  "has no cluster key and runs insecure (give it the cluster's key file, or run both insecure)");
  const std::uint64_t chosen = hello->features & endpoint_.features_offered;
  if ((endpoint_.features_required & ~chosen) != 0)
    return refuse(
        Errc::kUnsupported,
        fmt::format("{} lacks required features {:#x}", hello->identity.text(), endpoint_.features_required & ~chosen),
        fmt::format("requires features {:#x} (run the same release and settings at both ends)",
                    endpoint_.features_required));
  const std::optional<LinkSession> known = find_link_(hello->link);
  if (lane_ == 0 && known)
    return refuse(Errc::kAlreadyExists, "a link with this id stands", "has a link with this id (draw another)");
  if (lane_ > 0 && !known)
    return refuse(Errc::kNotFound, fmt::format("lane {} of a link that is not known", lane_),
                  "does not know the link (it restarted: open a new one)");
  if (lane_ > 0 && known->peer.node != hello->identity)
    return refuse(
        Errc::kPermission,
        fmt::format("lane {} is {}'s, the link is with {}", lane_, hello->identity.text(), known->peer.node.text()),
        "has this link with another process");
  if (lane_ > 0 && chosen != known->features)
    return refuse(Errc::kCorrupt,
                  fmt::format("lane {} has features {:#x}, the link {:#x}", lane_, chosen, known->features),
                  "has other features for this link");

  Challenge challenge{.mode = hello->mode, .features = chosen, .nonce = {}, .identity = endpoint_.identity};
  endpoint_.random(challenge.nonce);
  const std::vector<std::byte> answer = encode_challenge(challenge);
  const Proofs proofs =
      make_proofs(lane_ == 0 ? cluster_base(endpoint_) : known->secret, transcript_of(payload, answer, binding_));
  expected_proof_ = proofs.client;
  accept_ = proofs.server;
  if (lane_ == 0) {
    link_.id = hello->link;
    link_.secret = proofs.link;
    link_.peer = {.node = hello->identity, .authenticated = keyed};
    link_.features = chosen;
  } else {
    link_ = *known;
  }
  state_ = State::kWaitProof;
  return HandshakeStep{.send = message(FrameType::kChallenge, answer), .done = {}};
}

Step ServerHandshake::on_proof(std::span<const std::byte> payload) {
  if (!equal_secret(payload, expected_proof_.bytes))
    return refuse(Errc::kPermission,
                  lane_ == 0 ? fmt::format("{} did not prove that it holds the cluster key (is it another cluster's?)",
                                           link_.peer.node.text())
                             : fmt::format("lane {}: {} did not prove that it holds the link's secret", lane_,
                                           link_.peer.node.text()),
                  lane_ == 0 ? "does not accept the proof: the cluster keys differ (give both ends the same key file)"
                             : "does not accept the proof: the link's secrets differ (open a new link)");
  state_ = State::kDone;
  return HandshakeStep{.send = message(FrameType::kAccept, accept_.bytes), .done = link_};
}

}  // namespace ff::net
