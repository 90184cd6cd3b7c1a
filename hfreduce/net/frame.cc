#include "hfreduce/net/frame.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::hfreduce::net {
namespace {

constexpr std::uint16_t kFrameMagic = 0x4648;         // "HF"
constexpr std::uint32_t kPreambleMagic = 0x50524648;  // "HFRP"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kTokenAt = 24;

template <class T>
void put(std::byte* at, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    at[i] = static_cast<std::byte>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xff);
}

template <class T>
T get(const std::byte* at) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<std::uint64_t>(at[i]) << (8 * i);
  return static_cast<T>(value);
}

}  // namespace

std::string_view frame_kind_name(FrameKind kind) noexcept {
  switch (kind) {
    case FrameKind::kInput: return "input";
    case FrameKind::kPartial: return "partial";
    case FrameKind::kResult: return "result";
    case FrameKind::kToken: return "token";
    case FrameKind::kMessage: return "message";
    case FrameKind::kExchange: return "exchange";
  }
  return "unknown";
}

FrameHeaderBytes encode_frame_header(const FrameHeader& header) noexcept {
  FrameHeaderBytes out{};
  put(out.data(), kFrameMagic);
  put(out.data() + 2, kVersion);
  put(out.data() + 3, static_cast<std::uint8_t>(header.kind));
  put(out.data() + 4, header.signature);
  put(out.data() + 8, header.seq);
  put(out.data() + 16, header.index);
  put(out.data() + 20, header.group_id);
  put(out.data() + 24, header.length);
  put(out.data() + 28, crc32c(0, out.data(), 28));
  return out;
}

Result<FrameHeader> decode_frame_header(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  const std::byte* at = bytes.data();
  if (get<std::uint16_t>(at) != kFrameMagic) return fail(Errc::kCorrupt, "frame: wrong magic");
  if (get<std::uint32_t>(at + 28) != crc32c(0, at, 28)) return fail(Errc::kCorrupt, "frame: wrong header checksum");
  if (const int version = get<std::uint8_t>(at + 2); version != kVersion)
    return fail(Errc::kCorrupt, fmt::format("frame: version {} (this build speaks {})", version, kVersion));
  const auto kind = get<std::uint8_t>(at + 3);
  if (kind < static_cast<std::uint8_t>(FrameKind::kInput) || kind > static_cast<std::uint8_t>(FrameKind::kExchange))
    return fail(Errc::kCorrupt, fmt::format("frame: unknown kind {}", kind));
  FrameHeader header{.kind = static_cast<FrameKind>(kind),
                     .signature = get<std::uint32_t>(at + 4),
                     .seq = get<std::uint64_t>(at + 8),
                     .index = get<std::uint32_t>(at + 16),
                     .group_id = get<std::uint32_t>(at + 20),
                     .length = get<std::uint32_t>(at + 24)};
  if (header.length > kFramePayloadMax)
    return fail(Errc::kCorrupt,
                fmt::format("frame: payload of {} bytes (at most {})", header.length, kFramePayloadMax));
  if (header.kind == FrameKind::kToken && header.length != 0)
    return fail(Errc::kCorrupt, "frame: token with a payload");
  return header;
}

PreambleBytes encode_preamble(const Preamble& preamble) noexcept {
  FF_ASSERT(preamble.token.size() <= kTokenBytesMax, preamble.token.size());
  PreambleBytes out{};
  put(out.data(), kPreambleMagic);
  put(out.data() + 4, static_cast<std::uint16_t>(kVersion));
  put(out.data() + 6, preamble.lane);
  put(out.data() + 8, preamble.group_id);
  put(out.data() + 12, preamble.from);
  put(out.data() + 16, preamble.to);
  put(out.data() + 20, static_cast<std::uint16_t>(preamble.token.size()));
  std::transform(preamble.token.begin(), preamble.token.end(), out.data() + kTokenAt,
                 [](char c) { return static_cast<std::byte>(c); });
  put(out.data() + kPreambleBytes - 4, crc32c(0, out.data(), kPreambleBytes - 4));
  return out;
}

Result<Preamble> decode_preamble(std::span<const std::byte, kPreambleBytes> bytes) {
  const std::byte* at = bytes.data();
  if (get<std::uint32_t>(at) != kPreambleMagic) return fail(Errc::kCorrupt, "preamble: wrong magic");
  if (get<std::uint32_t>(at + kPreambleBytes - 4) != crc32c(0, at, kPreambleBytes - 4))
    return fail(Errc::kCorrupt, "preamble: wrong checksum");
  if (const int version = get<std::uint16_t>(at + 4); version != kVersion)
    return fail(Errc::kCorrupt, fmt::format("preamble: version {} (this build speaks {})", version, kVersion));
  const std::size_t token_bytes = get<std::uint16_t>(at + 20);
  if (token_bytes > kTokenBytesMax)
    return fail(Errc::kCorrupt, fmt::format("preamble: token of {} bytes (at most {})", token_bytes, kTokenBytesMax));
  const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
  if (!std::all_of(at + 22, at + kTokenAt, is_zero) ||
      !std::all_of(at + kTokenAt + token_bytes, at + kPreambleBytes - 4, is_zero))
    return fail(Errc::kCorrupt, "preamble: padding is not zero");
  Preamble preamble{.group_id = get<std::uint32_t>(at + 8),
                    .lane = get<std::uint16_t>(at + 6),
                    .from = get<std::uint32_t>(at + 12),
                    .to = get<std::uint32_t>(at + 16),
                    .token = std::string(token_bytes, '\0')};
  std::transform(at + kTokenAt, at + kTokenAt + token_bytes, preamble.token.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  return preamble;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference =
        static_cast<unsigned char>(difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  return difference == 0;
}

}  // namespace ff::hfreduce::net
