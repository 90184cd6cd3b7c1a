// The frames of a link: a fixed header of 48 bytes, little-endian, then `length` bytes of payload. Every lane (socket)
// of a link between two processes speaks it. frame.md is the grammar with a worked example; this is its code.
//
//  offset size field
//       0    4 magic        bytes "FFM1"
//       4    1 version      1
//       5    1 type         FrameType
//       6    2 flags        kFlag...; other bits 0
//       8    4 length       bytes of payload that follow
//      12    4 payload_crc  CRC-32C of the payload with kFlagPayloadChecked, else 0
//      16    8 region       } kBulk, kBulkAck, kBulkNack, kPull; else 0
//      24    8 offset       }
//      32    8 transfer     } those, kPing and kPong; else 0
//      40    4 reserved     0
//      44    4 header_crc   CRC-32C of bytes 0..43
//
// magic, version and header_crc keep their places in all versions, so that an old peer can refuse a new one politely.
// kMessageBytesMax (message.hpp) bounds a kMessage. Numbers in this file are on the wire: they are never reused.
// Threads  Pure functions; a FrameCutter belongs to one lane.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/net/message.hpp"

namespace ff::net {

inline constexpr std::size_t kFrameHeaderBytes = 48;
inline constexpr std::uint8_t kFrameVersion = 1;
inline constexpr std::uint32_t kHandshakeBytesMax = 4096;
inline constexpr std::uint32_t kBulkBytesMax = 64u << 20;  // of one frame; longer transfers are several frames
inline constexpr std::uint32_t kReasonBytesMax = 1024;
inline constexpr std::uint32_t kPullBytes = 24;

enum class FrameType : std::uint8_t {
  // Handshake; payloads of auth.hpp. Nothing else may come before kAccept.
  kHello = 1,      // client -> server
  kChallenge = 2,  // server -> client
  kProof = 3,      // client -> server
  kAccept = 4,     // server -> client
  kReject = 5,     // either; the sender closes after it

  kMessage = 16,  // opaque bytes of the layer above, in order on their lane

  kBulk = 32,      // payload goes to region + offset of the receiver's exposed memory
  kBulkAck = 33,   // no payload: the kBulk with this region, offset and transfer has been placed
  kBulkNack = 34,  // payload: why it was not (text). Also refuses a kPull.
  kPull = 35,      // asks for region + offset of the receiver's memory; payload PullRequest

  kPing = 48,    // no payload; `transfer` comes back
  kPong = 49,    // no payload
  kGoaway = 50,  // payload: why (text). No new work on this link; what is under way finishes.
};

// The payload's CRC-32C is in the header. Required where a payload is neither kMessage nor kBulk; for these two a
// choice of the sender's (a negotiated feature makes it a duty). Not allowed on types without payload.
inline constexpr std::uint16_t kFlagPayloadChecked = 1;
// kBulk and kBulkNack: `transfer` is a number that the RECEIVER of this frame chose, in a kPull. Without it the sender
// of the kBulk chose it (and gets kBulkAck or kBulkNack without the flag). Answers to kPull are not acknowledged.
inline constexpr std::uint16_t kFlagPulled = 2;

struct FrameHeader {
  FrameType type = FrameType::kMessage;
  std::uint16_t flags = 0;
  std::uint32_t length = 0;
  std::uint32_t payload_crc = 0;
  std::uint64_t region = 0;
  std::uint64_t offset = 0;
  std::uint64_t transfer = 0;

  bool operator==(const FrameHeader&) const = default;
};

using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

// "hello", "bulk_ack", ...; "unknown" for other numbers.
std::string_view frame_type_name(FrameType type) noexcept;
// Most payload bytes that a frame of this type may have.
std::uint32_t frame_length_max(FrameType type) noexcept;

// REQUIRES: the header is one that decode accepts (asserted: sending another is a bug of ours).
FrameHeaderBytes encode_frame_header(const FrameHeader& header);
// kCorrupt: magic, checksum, reserved bits, a type or flag that version 1 does not have, a field that the type does not
// use. kUnsupported: a newer version. kInvalidArgument: `length` is not one that the type may have.
Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes);

// Header of a frame with this payload and its checksum (kFlagPayloadChecked set when there is a payload).
FrameHeader checked_header(FrameType type, std::span<const std::byte> payload);
// kCorrupt when the header says that the payload is checked and its checksum differs. REQUIRES: payload.size() ==
// header.length (asserted).
Result<> check_payload(const FrameHeader& header, std::span<const std::byte> payload);

// Payload of kPull: how much, and where in the ASKER's exposed memory it goes. The header's region and offset say where
// it lies in the memory of the one who is asked.
struct PullRequest {
  std::uint64_t length = 0;              // bytes; answered by one or more kBulk with kFlagPulled
  std::uint64_t destination_region = 0;  // u64 each, little-endian, in this order
  std::uint64_t destination_offset = 0;

  bool operator==(const PullRequest&) const = default;
};
std::array<std::byte, kPullBytes> encode_pull(const PullRequest& request);
// kCorrupt for another size, kInvalidArgument for length 0 or an end beyond 2^64 of either side.
Result<PullRequest> decode_pull(const FrameHeader& header, std::span<const std::byte> payload);

// Reasons travel as text: cut at kReasonBytesMax when sent; what is not printable ASCII is shown as '?' when read.
std::string_view bounded_reason(std::string_view reason) noexcept;
std::string reason_text(std::span<const std::byte> payload);

// Cuts the bytes that a lane received into frames, where they lie: it owns no bytes and copies none.
//
//   while (true) {
//     FF_TRY_ASSIGN(auto frame, cutter.peek(buffer.unread()));
//     if (!frame) break;             // read more; cutter.wanted() says how many unread bytes make the next step
//     use(frame->header, frame->payload);
//     buffer.drop(cutter.consume());
//   }
//
// A lane that receives bulk looks at peek_header() first, and when it is a kBulk takes the payload off the buffer and
// the socket itself (consume_header()), straight to its place.
// Errors   as decode_frame_header; kExhausted when the payload is longer than this lane buffers; kCorrupt when a
//          payload's checksum differs. After an error the lane is out of step and must be closed.
class FrameCutter {
 public:
  struct Frame {
    FrameHeader header;
    std::span<const std::byte> payload;  // into the caller's buffer
  };

  // `payload_bytes_max`: longest payload that peek() waits for; the caller's buffer must be able to hold
  // kFrameHeaderBytes more than that.
  explicit FrameCutter(std::uint32_t payload_bytes_max = kMessageBytesMax) noexcept
      : payload_bytes_max_(payload_bytes_max) {}

  // `unread`: all bytes received and not consumed, in order; between two consumes it may only grow at its end.
  Result<std::optional<FrameHeader>> peek_header(std::span<const std::byte> unread);
  Result<std::optional<Frame>> peek(std::span<const std::byte> unread);
  // Bytes that `unread` must have for peek() to get further; at least kFrameHeaderBytes.
  std::size_t wanted() const noexcept;
  // Bytes of the frame (or its header alone) that was peeked; the caller drops them. REQUIRES: peek() or
  // peek_header() gave one (asserted).
  std::size_t consume() noexcept;
  std::size_t consume_header() noexcept;

 private:
  std::uint32_t payload_bytes_max_;
  std::optional<FrameHeader> header_;  // of the frame at the front, once its 48 bytes are there and good
};

}  // namespace ff::net
