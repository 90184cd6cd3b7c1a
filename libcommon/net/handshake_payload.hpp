// Bytes of the handshake's payloads (the table is in auth.hpp): pure encode and decode, shared by both sides.
// Decoding refuses with kCorrupt whatever encode does not write, and with kUnsupported another version.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/net/auth.hpp"
#include "libcommon/net/crypto.hpp"

namespace ff::net {

using Nonce = std::array<std::byte, 32>;

enum class KeyMode : std::uint8_t { kInsecure = 0, kClusterKey = 1 };

struct Hello {
  std::uint16_t lane = 0;
  KeyMode mode = KeyMode::kInsecure;
  std::uint64_t features = 0;  // offered
  LinkId link{};
  Nonce nonce{};
  NodeIdentity identity;

  bool operator==(const Hello&) const = default;
};

struct Challenge {
  KeyMode mode = KeyMode::kInsecure;
  std::uint64_t features = 0;  // chosen
  Nonce nonce{};
  NodeIdentity identity;

  bool operator==(const Challenge&) const = default;
};

std::vector<std::byte> encode_hello(const Hello& hello);
Result<Hello> decode_hello(std::span<const std::byte> payload);
std::vector<std::byte> encode_challenge(const Challenge& challenge);
Result<Challenge> decode_challenge(std::span<const std::byte> payload);

// The text completes "peer ...": "requires a cluster key: ...". Cut at kReasonBytesMax.
std::vector<std::byte> encode_reject(const Error& error);
// What a peer refused us with, as our error. kCorrupt when it cannot be read.
Error decode_reject(std::span<const std::byte> payload);

// kInvalidArgument, saying what is wrong with our own identity.
Result<> check_identity(const NodeIdentity& identity);

// The hash that all proofs are made over.
Digest transcript_of(std::span<const std::byte> hello, std::span<const std::byte> challenge,
                     std::span<const std::byte> binding);

}  // namespace ff::net
