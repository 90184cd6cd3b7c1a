// Bytes on the wire between two NetEngines: the preamble that opens a connection and the header of each frame. Pure
// functions, no I/O. The grammar with a worked example is in frame.md; the numbers are never reused.
//
// Errors  decode: kCorrupt, naming the field. A decoded value has passed every check that needs no state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce::net {

inline constexpr std::size_t kFrameHeaderBytes = 32;
inline constexpr std::uint32_t kFramePayloadMax = 16u << 20;
inline constexpr std::size_t kPreambleBytes = 160;
inline constexpr std::size_t kTokenBytesMax = 128;

enum class FrameKind : std::uint8_t {
  kInput = 1,     // elements of one rank, to be combined by the receiver
  kPartial = 2,   // combined from several ranks, not finished; low types as fp32
  kResult = 3,    // final elements, or elements that are only moved
  kToken = 4,     // barrier, no payload
  kMessage = 5,   // point to point
  kExchange = 6,  // all_to_all_v
};
std::string_view frame_kind_name(FrameKind kind) noexcept;

struct FrameHeader {
  FrameKind kind = FrameKind::kInput;
  std::uint32_t signature = 0;  // of the call; messages and exchanges: lower half of the message's size in bytes
  std::uint64_t seq = 0;        // of the call; messages: number of the message on this link, from 0
  std::uint32_t index = 0;      // chunk or step of the call; messages and exchanges: upper half of the message's size
  std::uint32_t group_id = 0;
  std::uint32_t length = 0;  // bytes of payload that follow

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;
FrameHeaderBytes encode_frame_header(const FrameHeader& header) noexcept;
Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes);

// First on a connection, from the one that connects; answered by the other with from and to exchanged.
struct Preamble {
  std::uint32_t group_id = 0;
  std::uint16_t lane = 0;  // channel * 2 + tree
  std::uint32_t from = 0;  // ranks of the group
  std::uint32_t to = 0;
  std::string token;

  friend bool operator==(const Preamble&, const Preamble&) = default;
};

using PreambleBytes = std::array<std::byte, kPreambleBytes>;
// REQUIRES token.size() <= kTokenBytesMax.
PreambleBytes encode_preamble(const Preamble& preamble) noexcept;
Result<Preamble> decode_preamble(std::span<const std::byte, kPreambleBytes> bytes);

// Takes the same time wherever the texts differ. Different lengths are unequal at once: the length is no secret.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace ff::hfreduce::net
