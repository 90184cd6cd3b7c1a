// What a call looks like inside a net::Message: a fixed header, sections that its flags announce, then the protobuf
// message. Pure: encode, decode, check; no I/O. The grammar with widths and a worked example is in wire.md.
//
// Numbers   of Type, flags and error codes are part of the protocol: never renumbered, never reused.
// Strict    A decoder refuses (kCorrupt) what no encoder writes: unknown types and flags, reserved bits, sizes that do
//           not add up, missing or surplus bytes. Whoever gets kCorrupt closes the connection.
// Ownership Views point into the message that was decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/net/network.hpp"

namespace ff::rpc {

enum class Type : std::uint8_t {
  kRequest = 1,    // client → server
  kResponse = 2,   // server → client: the call succeeded
  kError = 3,      // server → client: it did not
  kCancel = 4,     // client → server: nobody waits for the answer any more
  kBulkAsk = 5,    // server → client: may I push this many bytes?
  kBulkGrant = 6,  // client → server: now
  kBulkDone = 7,   // server → client: pushed (or given up)
};

inline constexpr std::size_t kPrefixBytes = 16;
inline constexpr std::size_t kRequestHeaderBytesMax = 120;
inline constexpr std::size_t kInlineBulkBytesMax = 16u << 10;
inline constexpr std::size_t kErrorTextBytesMax = 1024;
inline constexpr std::uint64_t kTimeoutUsMax = 24ull * 3600 * 1'000'000;

// Names one operation of one client, the same for all attempts at it. client 0: there is none.
struct IdempotencyKey {
  std::uint64_t client = 0;    // random, for each rpc::Client
  std::uint64_t sequence = 0;  // counts up in that client
  explicit operator bool() const noexcept { return client != 0; }
  bool operator==(const IdempotencyKey&) const = default;
};

struct RequestHeader {
  std::uint64_t id = 0;          // chosen by the client; repeated in all that belongs to the call
  std::uint32_t method = 0;      // method_id() of "package.Service/Method"
  std::uint64_t timeout_us = 0;  // 1 to kTimeoutUsMax: what is left of the caller's budget (relative: clocks differ)
  std::uint64_t trace = 0;
  bool grants = false;  // ask before pushing kGrantBytesMin or more
  IdempotencyKey key;
  std::uint64_t settled_below = 0;   // with a key: smaller sequences of this client will not come (again)
  net::RemoteMemory bulk_send;       // the server may pull it
  net::RemoteMemory bulk_receive;    // the server may push into it
  std::uint32_t inline_send = 0;     // bytes of bulk that travel inside this message, instead of bulk_send
  std::uint32_t inline_receive = 0;  // room for bulk inside the response, instead of bulk_receive
};

struct RequestView {
  RequestHeader header;
  std::span<const std::byte> inline_bulk;
  std::span<const std::byte> payload;
};

struct ResponseView {
  std::uint64_t id = 0;
  std::span<const std::byte> inline_bulk;
  std::span<const std::byte> payload;
};

struct ErrorView {
  std::uint64_t id = 0;
  Errc code = Errc::kInternal;
  bool executed = true;              // false: refused before any handler saw it, so that any method may be repeated
  std::uint32_t retry_after_ms = 0;  // 0: no advice
  std::string_view text;
};

// kCancel, kBulkAsk, kBulkGrant, kBulkDone. Only kBulkAsk has bytes; kCancel has no grant.
struct ControlView {
  Type type = Type::kCancel;
  std::uint64_t id = 0;
  std::uint32_t grant = 0;  // chosen by the server, for one call
  std::uint64_t bytes = 0;
};

// Of a message that holds kPrefixBytes at least; the decoders below check the rest.
Result<Type> decode_type(std::span<const std::byte> message);
Result<RequestView> decode_request(std::span<const std::byte> message);
Result<ResponseView> decode_response(std::span<const std::byte> message);
Result<ErrorView> decode_error(std::span<const std::byte> message);
Result<ControlView> decode_control(std::span<const std::byte> message);

// A message with header and sections written; `payload` is where the protobuf message goes.
struct Draft {
  net::Message message;
  std::span<std::byte> payload;
};
// REQUIRES: the fields are within their limits; inline_bulk.size() == header.inline_send.
Draft encode_request(const RequestHeader& header, std::span<const std::byte> inline_bulk, std::size_t payload_bytes);
Draft encode_response(std::uint64_t id, std::span<const std::byte> inline_bulk, std::size_t payload_bytes);
// The text is cut at kErrorTextBytesMax.
net::Message encode_error(const ErrorView& error);
net::Message encode_control(const ControlView& control);

// crc32c of "package.Service/Method".
std::uint32_t method_id(std::string_view full_name) noexcept;

}  // namespace ff::rpc
