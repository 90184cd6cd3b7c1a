#include "libcommon/rpc/wire.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/net/wire.hpp"

namespace ff::rpc {
namespace {

// Flags of a request.
constexpr std::uint8_t kGrants = 1;
constexpr std::uint8_t kKey = 2;
constexpr std::uint8_t kBulkSend = 4;
constexpr std::uint8_t kBulkReceive = 8;
constexpr std::uint8_t kInlineSend = 16;
constexpr std::uint8_t kInlineReceive = 32;
constexpr std::uint8_t kRequestFlags = 63;
// Of a response.
constexpr std::uint8_t kInlineBulk = 1;
// Of an error.
constexpr std::uint8_t kNotExecuted = 1;

// Position + 1 is the number on the wire. Append only.
constexpr std::array kCodes = {
    Errc::kInvalidArgument, Errc::kNotFound,    Errc::kAlreadyExists, Errc::kPermission,
    Errc::kCorrupt,         Errc::kIo,          Errc::kTimeout,       Errc::kUnavailable,
    Errc::kExhausted,       Errc::kUnsupported, Errc::kCancelled,     Errc::kInternal,
};

std::uint32_t number_of(Errc code) noexcept {
  const auto* const found = std::ranges::find(kCodes, code);
  return static_cast<std::uint32_t>(found - kCodes.begin()) + 1;
}

template <class... Args>
[[gnu::cold, gnu::noinline]] std::unexpected<Error> corrupt(fmt::format_string<Args...> what, Args&&... args) {
  return fail(Errc::kCorrupt, "rpc message: " + fmt::format(what, std::forward<Args>(args)...));
}

// Writes fields one after the other into memory that is known to be large enough.
class Put {
 public:
  explicit Put(std::byte* at) noexcept : at_(at) {}
  template <std::unsigned_integral T>
  Put& number(T value) noexcept {
    net::store_le(at_, value);
    at_ += sizeof value;
    return *this;
  }
  Put& memory(const net::RemoteMemory& range) noexcept {
    return number(range.region).number(range.offset).number(range.bytes);
  }
  Put& bytes(std::span<const std::byte> data) noexcept {
    if (!data.empty()) std::memcpy(at_, data.data(), data.size());
    at_ += data.size();
    return *this;
  }
  Put& prefix(Type type, std::uint8_t flags, std::uint32_t about, std::uint64_t id) noexcept {
    return number(static_cast<std::uint8_t>(type)).number(flags).number(std::uint16_t{0}).number(about).number(id);
  }

 private:
  std::byte* at_;
};

struct Prefix {
  std::uint8_t flags = 0;
  std::uint32_t about = 0;
  std::uint64_t id = 0;
};

Result<Prefix> read_prefix(net::WireReader& reader, Type type, std::uint8_t flags_known) {
  const auto number = reader.number<std::uint8_t>();
  Prefix prefix;
  prefix.flags = reader.number<std::uint8_t>();
  const auto reserved = reader.number<std::uint16_t>();
  prefix.about = reader.number<std::uint32_t>();
  prefix.id = reader.number<std::uint64_t>();
  if (!reader.good()) return corrupt("shorter than its header of {} bytes", kPrefixBytes);
  if (number != static_cast<std::uint8_t>(type)) return corrupt("has type {} instead of {}", number, int(type));
  if (reserved != 0 || (prefix.flags & ~flags_known) != 0)
    return corrupt("has flags {:#x} and reserved bits {:#x} that this version does not know", prefix.flags, reserved);
  return prefix;
}

Result<net::RemoteMemory> read_memory(net::WireReader& reader) {
  net::RemoteMemory range;
  range.region = reader.number<std::uint64_t>();
  range.offset = reader.number<std::uint64_t>();
  range.bytes = reader.number<std::uint64_t>();
  if (range.region == 0 || range.bytes == 0 || range.offset + range.bytes < range.offset)
    return corrupt("names memory region {} at {} with {} bytes", range.region, range.offset, range.bytes);
  return range;
}

Result<std::uint32_t> read_inline_bytes(net::WireReader& reader) {
  const auto bytes = reader.number<std::uint32_t>();
  if (bytes == 0 || bytes > kInlineBulkBytesMax)
    return corrupt("has {} bytes of inline bulk, 1 to {} can be", bytes, kInlineBulkBytesMax);
  return bytes;
}

Result<> read_key(net::WireReader& reader, RequestHeader& header) {
  header.key.client = reader.number<std::uint64_t>();
  header.key.sequence = reader.number<std::uint64_t>();
  header.settled_below = reader.number<std::uint64_t>();
  if (header.key.client == 0) return corrupt("has an idempotency key without a client");
  return {};
}

// The sections of a request in the order of their flags.
Result<> read_sections(net::WireReader& reader, std::uint8_t flags, RequestHeader& header) {
  if ((flags & kKey) != 0) FF_TRY(read_key(reader, header));
  if ((flags & kBulkSend) != 0) {
    FF_TRY_ASSIGN(header.bulk_send, read_memory(reader));
  }
  if ((flags & kBulkReceive) != 0) {
    FF_TRY_ASSIGN(header.bulk_receive, read_memory(reader));
  }
  if ((flags & kInlineSend) != 0) {
    FF_TRY_ASSIGN(header.inline_send, read_inline_bytes(reader));
  }
  if ((flags & kInlineReceive) != 0) {
    FF_TRY_ASSIGN(header.inline_receive, read_inline_bytes(reader));
  }
  return {};
}

bool is_text(std::uint64_t byte) noexcept { return byte >= 0x20 && byte != 0x7f; }

}  // namespace

Result<Type> decode_type(std::span<const std::byte> message) {
  if (message.size() < kPrefixBytes) return corrupt("{} bytes, shorter than any header", message.size());
  const auto type = static_cast<std::uint8_t>(message[0]);
  if (type < 1 || type > 7) return corrupt("has the unknown type {}", type);
  return static_cast<Type>(type);
}

Result<RequestView> decode_request(std::span<const std::byte> message) {
  net::WireReader reader(message);
  FF_TRY_ASSIGN(const Prefix prefix, read_prefix(reader, Type::kRequest, kRequestFlags));
  RequestView view;
  RequestHeader& header = view.header;
  header.id = prefix.id;
  header.method = prefix.about;
  header.grants = (prefix.flags & kGrants) != 0;
  header.timeout_us = reader.number<std::uint64_t>();
  header.trace = reader.number<std::uint64_t>();
  if ((prefix.flags & ~kGrants) != 0) FF_TRY(read_sections(reader, prefix.flags, header));
  view.inline_bulk = reader.bytes(header.inline_send);
  if (!reader.good()) return corrupt("request of {} bytes ends inside its header", message.size());
  if (header.timeout_us == 0 || header.timeout_us > kTimeoutUsMax)
    return corrupt("request has a timeout of {} us, 1 to {} can be", header.timeout_us, kTimeoutUsMax);
  if ((header.inline_send != 0 && header.bulk_send.bytes != 0) ||
      (header.inline_receive != 0 && header.bulk_receive.bytes != 0))
    return corrupt("request has bulk both inline and exposed");
  view.payload = reader.rest();
  return view;
}

Result<ResponseView> decode_response(std::span<const std::byte> message) {
  net::WireReader reader(message);
  FF_TRY_ASSIGN(const Prefix prefix, read_prefix(reader, Type::kResponse, kInlineBulk));
  ResponseView view;
  view.id = prefix.id;
  const bool inlined = (prefix.flags & kInlineBulk) != 0;
  if (inlined != (prefix.about != 0) || prefix.about > kInlineBulkBytesMax)
    return corrupt("response has {} bytes of inline bulk and flags {:#x}", prefix.about, prefix.flags);
  view.inline_bulk = reader.bytes(prefix.about);
  if (!reader.good()) return corrupt("response of {} bytes ends inside its bulk", message.size());
  view.payload = reader.rest();
  return view;
}

Result<ErrorView> decode_error(std::span<const std::byte> message) {
  net::WireReader reader(message);
  FF_TRY_ASSIGN(const Prefix prefix, read_prefix(reader, Type::kError, kNotExecuted));
  ErrorView view;
  view.id = prefix.id;
  view.executed = (prefix.flags & kNotExecuted) == 0;
  if (prefix.about == 0 || prefix.about > kCodes.size()) return corrupt("error has the unknown code {}", prefix.about);
  view.code = kCodes[prefix.about - 1];
  view.retry_after_ms = reader.number<std::uint32_t>();
  const auto text_bytes = reader.number<std::uint32_t>();
  if (text_bytes > kErrorTextBytesMax) return corrupt("error has {} bytes of text", text_bytes);
  view.text = reader.text(text_bytes);
  if (!reader.complete()) return corrupt("error of {} bytes has not {} bytes of text", message.size(), text_bytes);
  // What is printed on terminals and in logs comes without control characters.
  if (!std::ranges::all_of(view.text, [](char c) { return is_text(static_cast<unsigned char>(c)); }))
    return corrupt("error text has control characters");
  return view;
}

Result<ControlView> decode_control(std::span<const std::byte> message) {
  FF_TRY_ASSIGN(const Type type, decode_type(message));
  if (type < Type::kCancel) return corrupt("has type {}, which is no control", int(type));
  net::WireReader reader(message);
  FF_TRY_ASSIGN(const Prefix prefix, read_prefix(reader, type, 0));
  ControlView view{.type = type, .id = prefix.id, .grant = prefix.about};
  if (type == Type::kBulkAsk) view.bytes = reader.number<std::uint64_t>();
  if (!reader.complete()) return corrupt("control has {} bytes", message.size());
  if ((type == Type::kBulkAsk) != (view.bytes != 0) || (type == Type::kCancel && view.grant != 0))
    return corrupt("control of type {} has {} bytes and grant {}", int(type), view.bytes, view.grant);
  return view;
}

Draft encode_request(const RequestHeader& header, std::span<const std::byte> inline_bulk, std::size_t payload_bytes) {
  FF_ASSERT(inline_bulk.size() == header.inline_send, inline_bulk.size(), header.inline_send);
  std::byte fixed[kRequestHeaderBytesMax];
  std::uint8_t flags = header.grants ? kGrants : 0;
  std::size_t bytes = kPrefixBytes + 16;
  if (header.key) flags |= kKey, bytes += 24;
  if (header.bulk_send.bytes != 0) flags |= kBulkSend, bytes += 24;
  if (header.bulk_receive.bytes != 0) flags |= kBulkReceive, bytes += 24;
  if (header.inline_send != 0) flags |= kInlineSend, bytes += 4;
  if (header.inline_receive != 0) flags |= kInlineReceive, bytes += 4;

  Put put(fixed);
  put.prefix(Type::kRequest, flags, header.method, header.id).number(header.timeout_us).number(header.trace);
  if ((flags & kKey) != 0) put.number(header.key.client).number(header.key.sequence).number(header.settled_below);
  if ((flags & kBulkSend) != 0) put.memory(header.bulk_send);
  if ((flags & kBulkReceive) != 0) put.memory(header.bulk_receive);
  if ((flags & kInlineSend) != 0) put.number(header.inline_send);
  if ((flags & kInlineReceive) != 0) put.number(header.inline_receive);

  net::Message message(bytes + inline_bulk.size() + payload_bytes);
  Put(message.payload().data()).bytes({fixed, bytes}).bytes(inline_bulk);
  const auto payload = message.payload().last(payload_bytes);
  return {std::move(message), payload};
}

Draft encode_response(std::uint64_t id, std::span<const std::byte> inline_bulk, std::size_t payload_bytes) {
  FF_ASSERT(inline_bulk.size() <= kInlineBulkBytesMax, inline_bulk.size());
  net::Message message(kPrefixBytes + inline_bulk.size() + payload_bytes);
  Put(message.payload().data())
      .prefix(Type::kResponse, inline_bulk.empty() ? 0 : kInlineBulk, static_cast<std::uint32_t>(inline_bulk.size()),
              id)
      .bytes(inline_bulk);
  const auto payload = message.payload().last(payload_bytes);
  return {std::move(message), payload};
}

net::Message encode_error(const ErrorView& error) {
  const std::string_view text = error.text.substr(0, kErrorTextBytesMax);
  net::Message message(kPrefixBytes + 8 + text.size());
  Put(message.payload().data())
      .prefix(Type::kError, error.executed ? 0 : kNotExecuted, number_of(error.code), error.id)
      .number(error.retry_after_ms)
      .number(static_cast<std::uint32_t>(text.size()))
      .bytes(std::as_bytes(std::span(text)));
  for (std::byte& byte : message.payload().last(text.size()))
    if (!is_text(std::to_integer<unsigned char>(byte))) byte = std::byte{'?'};
  return message;
}

net::Message encode_control(const ControlView& control) {
  const bool ask = control.type == Type::kBulkAsk;
  net::Message message(kPrefixBytes + (ask ? 8 : 0));
  Put put(message.payload().data());
  put.prefix(control.type, 0, control.grant, control.id);
  if (ask) put.number(control.bytes);
  return message;
}

std::uint32_t method_id(std::string_view full_name) noexcept { return crc32c(0, full_name.data(), full_name.size()); }

}  // namespace ff::rpc
