#include "libcommon/net/frame.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/net/wire.hpp"

namespace ff::net {
namespace {

constexpr std::uint32_t kMagic = 0x314d4646;  // "FFM1" as bytes
constexpr std::size_t kCrcAt = 44;

enum class Payload : std::uint8_t { kNone, kUpTo, kExactly };

// What each type may carry. One row a type; encode, decode and the grammar in frame.md all follow it.
struct Rule {
  FrameType type;
  std::string_view name;
  Payload payload;
  std::uint32_t length;  // bound, or the one length
  bool must_check;       // kFlagPayloadChecked is a duty
  bool may_be_pulled;    // kFlagPulled is allowed
  bool has_place;        // region and offset are used
  bool has_transfer;
};

constexpr Rule kRules[] = {
    {FrameType::kHello, "hello", Payload::kUpTo, kHandshakeBytesMax, true, false, false, false},
    {FrameType::kChallenge, "challenge", Payload::kUpTo, kHandshakeBytesMax, true, false, false, false},
    {FrameType::kProof, "proof", Payload::kUpTo, kHandshakeBytesMax, true, false, false, false},
    {FrameType::kAccept, "accept", Payload::kUpTo, kHandshakeBytesMax, true, false, false, false},
    {FrameType::kReject, "reject", Payload::kUpTo, kHandshakeBytesMax, true, false, false, false},
    {FrameType::kMessage, "message", Payload::kUpTo, kMessageBytesMax, false, false, false, false},
    {FrameType::kBulk, "bulk", Payload::kUpTo, kBulkBytesMax, false, true, true, true},
    {FrameType::kBulkAck, "bulk_ack", Payload::kNone, 0, false, false, true, true},
    {FrameType::kBulkNack, "bulk_nack", Payload::kUpTo, kReasonBytesMax, true, true, true, true},
    {FrameType::kPull, "pull", Payload::kExactly, kPullBytes, true, false, true, true},
    {FrameType::kPing, "ping", Payload::kNone, 0, false, false, false, true},
    {FrameType::kPong, "pong", Payload::kNone, 0, false, false, false, true},
    {FrameType::kGoaway, "goaway", Payload::kUpTo, kReasonBytesMax, true, false, false, false},
};

const Rule* rule_of(FrameType type) noexcept {
  const auto found = std::ranges::find(kRules, type, &Rule::type);
  return found == std::end(kRules) ? nullptr : found;
}

std::unexpected<Error> corrupt(std::string reason) { return fail(Errc::kCorrupt, "frame: " + std::move(reason)); }

Result<> check_flags(const Rule& rule, const FrameHeader& h) {
  constexpr std::uint16_t kKnown = kFlagPayloadChecked | kFlagPulled;
  const bool checked = (h.flags & kFlagPayloadChecked) != 0;
  if ((h.flags & ~kKnown) != 0) return corrupt(fmt::format("{}: reserved flags are set: {:#x}", rule.name, h.flags));
  if ((h.flags & kFlagPulled) != 0 && !rule.may_be_pulled)
    return corrupt(fmt::format("{}: flag 'pulled' on a type that does not have it", rule.name));
  if (checked && rule.payload == Payload::kNone)
    return corrupt(fmt::format("{}: flag 'payload checked' on a type without payload", rule.name));
  if (!checked && rule.must_check && h.length > 0)
    return corrupt(fmt::format("{}: the payload has no checksum", rule.name));
  if (!checked && h.payload_crc != 0) return corrupt(fmt::format("{}: checksum of an unchecked payload", rule.name));
  return {};
}

Result<> check_length(const Rule& rule, std::uint32_t length) {
  if (rule.payload == Payload::kExactly && length != rule.length)
    return fail(Errc::kInvalidArgument,
                fmt::format("frame: {}: payload of {} bytes, must be {}", rule.name, length, rule.length));
  if (length > rule.length)
    return fail(Errc::kInvalidArgument,
                fmt::format("frame: {}: payload of {} bytes is over the bound of {}", rule.name, length, rule.length));
  return {};
}

// Everything but magic, version and checksum: what encode asserts and decode refuses.
Result<> check_header(const FrameHeader& h) {
  const Rule* rule = rule_of(h.type);
  if (rule == nullptr) return corrupt(fmt::format("no frame type {}", static_cast<unsigned>(h.type)));
  FF_TRY(check_flags(*rule, h));
  if (!rule->has_place && (h.region != 0 || h.offset != 0))
    return corrupt(fmt::format("{}: region and offset are not zero", rule->name));
  if (!rule->has_transfer && h.transfer != 0) return corrupt(fmt::format("{}: transfer is not zero", rule->name));
  FF_TRY(check_length(*rule, h.length));
  if (h.type == FrameType::kBulk && h.offset > std::numeric_limits<std::uint64_t>::max() - h.length)
    return fail(Errc::kInvalidArgument, "frame: bulk: offset and length go beyond 2^64");
  return {};
}

// Somebody else's protocol on our port is the usual cause of a wrong magic; say which, where it can be told.
std::string wrong_magic(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  const auto first = static_cast<unsigned>(bytes[0]);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if ((first == 0x15 || first == 0x16) && static_cast<unsigned>(bytes[1]) == 3)
    return "wrong magic: this is TLS (turn TLS on at both ends or at neither)";
  if (text.starts_with("GET ") || text.starts_with("POST ") || text.starts_with("HTTP/"))
    return "wrong magic: this is HTTP (is the address another service's?)";
  return fmt::format("wrong magic {:#010x} (is the address another service's?)", load_le<std::uint32_t>(bytes.data()));
}

}  // namespace

std::string_view frame_type_name(FrameType type) noexcept {
  const Rule* rule = rule_of(type);
  return rule == nullptr ? "unknown" : rule->name;
}

std::uint32_t frame_length_max(FrameType type) noexcept {
  const Rule* rule = rule_of(type);
  return rule == nullptr ? 0 : rule->length;
}

FrameHeaderBytes encode_frame_header(const FrameHeader& h) {
  const Result<> valid = check_header(h);
  FF_ASSERT(valid, valid.error().message());
  FrameHeaderBytes out{};
  store_le(out.data(), kMagic);
  out[4] = std::byte{kFrameVersion};
  out[5] = static_cast<std::byte>(h.type);
  store_le(out.data() + 6, h.flags);
  store_le(out.data() + 8, h.length);
  store_le(out.data() + 12, h.payload_crc);
  store_le(out.data() + 16, h.region);
  store_le(out.data() + 24, h.offset);
  store_le(out.data() + 32, h.transfer);
  store_le(out.data() + kCrcAt, crc32c(0, out.data(), kCrcAt));
  return out;
}

Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  const std::byte* at = bytes.data();
  if (load_le<std::uint32_t>(at) != kMagic) return corrupt(wrong_magic(bytes));
  // Before the version: a damaged version byte must not be reported as a newer peer.
  if (load_le<std::uint32_t>(at + kCrcAt) != crc32c(0, at, kCrcAt)) return corrupt("the header's checksum differs");
  const auto version = static_cast<unsigned>(at[4]);
  if (version > kFrameVersion)
    return fail(Errc::kUnsupported, fmt::format("frame: version {} is newer than {}, which this program speaks "
                                                "(upgrade it)",
                                                version, kFrameVersion));
  if (version != kFrameVersion) return corrupt(fmt::format("no version {}", version));
  if (load_le<std::uint32_t>(at + 40) != 0) return corrupt("reserved bytes are not zero");
  const FrameHeader header{.type = static_cast<FrameType>(at[5]),
                           .flags = load_le<std::uint16_t>(at + 6),
                           .length = load_le<std::uint32_t>(at + 8),
                           .payload_crc = load_le<std::uint32_t>(at + 12),
                           .region = load_le<std::uint64_t>(at + 16),
                           .offset = load_le<std::uint64_t>(at + 24),
                           .transfer = load_le<std::uint64_t>(at + 32)};
  FF_TRY(check_header(header));
  return header;
}

FrameHeader checked_header(FrameType type, std::span<const std::byte> payload) {
  FF_ASSERT(payload.size() <= frame_length_max(type), frame_type_name(type), payload.size());
  FrameHeader header{.type = type, .length = static_cast<std::uint32_t>(payload.size())};
  if (payload.empty()) return header;
  header.flags = kFlagPayloadChecked;
  header.payload_crc = crc32c(0, payload.data(), payload.size());
  return header;
}

Result<> check_payload(const FrameHeader& header, std::span<const std::byte> payload) {
  FF_ASSERT(payload.size() == header.length, payload.size(), header.length);
  if ((header.flags & kFlagPayloadChecked) == 0) return {};
  if (crc32c(0, payload.data(), payload.size()) == header.payload_crc) return {};
  return corrupt(
      fmt::format("{}: the checksum of its {} payload bytes differs", frame_type_name(header.type), header.length));
}

std::array<std::byte, kPullBytes> encode_pull(const PullRequest& request) {
  std::array<std::byte, kPullBytes> out;
  store_le(out.data(), request.length);
  store_le(out.data() + 8, request.destination_region);
  store_le(out.data() + 16, request.destination_offset);
  return out;
}

Result<PullRequest> decode_pull(const FrameHeader& header, std::span<const std::byte> payload) {
  if (payload.size() != kPullBytes) return corrupt(fmt::format("pull: payload of {} bytes", payload.size()));
  const PullRequest out{.length = load_le<std::uint64_t>(payload.data()),
                        .destination_region = load_le<std::uint64_t>(payload.data() + 8),
                        .destination_offset = load_le<std::uint64_t>(payload.data() + 16)};
  if (out.length == 0) return fail(Errc::kInvalidArgument, "frame: pull: of no bytes");
  const std::uint64_t room = std::numeric_limits<std::uint64_t>::max() - out.length;
  if (header.offset > room || out.destination_offset > room)
    return fail(Errc::kInvalidArgument, "frame: pull: offset and length go beyond 2^64");
  return out;
}

std::string_view bounded_reason(std::string_view reason) noexcept { return reason.substr(0, kReasonBytesMax); }

std::string reason_text(std::span<const std::byte> payload) {
  std::string out(reinterpret_cast<const char*>(payload.data()),
                  std::min<std::size_t>(payload.size(), kReasonBytesMax));
  std::ranges::replace_if(out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

Result<std::optional<FrameHeader>> FrameCutter::peek_header(std::span<const std::byte> unread) {
  if (!header_) {
    if (unread.size() < kFrameHeaderBytes) return std::nullopt;
    FF_TRY_ASSIGN(header_, decode_frame_header(unread.first<kFrameHeaderBytes>()));
  }
  return header_;
}

Result<std::optional<FrameCutter::Frame>> FrameCutter::peek(std::span<const std::byte> unread) {
  FF_TRY_ASSIGN(const std::optional<FrameHeader> header, peek_header(unread));
  if (!header) return std::nullopt;
  if (header->length > payload_bytes_max_)
    return fail(Errc::kExhausted, fmt::format("frame: {}: payload of {} bytes, this lane buffers {}",
                                              frame_type_name(header->type), header->length, payload_bytes_max_));
  if (unread.size() < wanted()) return std::nullopt;
  const auto payload = unread.subspan(kFrameHeaderBytes, header->length);
  FF_TRY(check_payload(*header, payload));
  return Frame{*header, payload};
}

std::size_t FrameCutter::wanted() const noexcept {
  return kFrameHeaderBytes + (header_ ? std::size_t{header_->length} : 0);
}

std::size_t FrameCutter::consume() noexcept {
  FF_ASSERT(header_.has_value());
  const std::size_t bytes = wanted();
  header_.reset();
  return bytes;
}

std::size_t FrameCutter::consume_header() noexcept {
  FF_ASSERT(header_.has_value());
  header_.reset();
  return kFrameHeaderBytes;
}

}  // namespace ff::net
