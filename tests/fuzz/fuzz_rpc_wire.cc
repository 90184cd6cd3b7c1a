// The RPC decoders on arbitrary bytes: no crash, no over-read; what decodes, encodes back to itself.
#include <cstdint>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/wire.hpp"

namespace {

using namespace ff::rpc;

void same(const ff::net::Message& message, std::span<const std::byte> bytes) {
  FF_ASSERT(message.size() == bytes.size(), message.size(), bytes.size());
  FF_ASSERT(std::memcmp(message.payload().data(), bytes.data(), bytes.size()) == 0);
}
void fill(Draft& draft, std::span<const std::byte> payload) {
  if (!payload.empty()) std::memcpy(draft.payload.data(), payload.data(), payload.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  (void)decode_type(bytes);
  if (const auto view = decode_request(bytes)) {
    Draft draft = encode_request(view->header, view->inline_bulk, view->payload.size());
    fill(draft, view->payload);
    same(draft.message, bytes);
  }
  if (const auto view = decode_response(bytes)) {
    Draft draft = encode_response(view->id, view->inline_bulk, view->payload.size());
    fill(draft, view->payload);
    same(draft.message, bytes);
  }
  if (const auto view = decode_error(bytes)) same(encode_error(*view), bytes);
  if (const auto view = decode_control(bytes)) same(encode_control(*view), bytes);
  return 0;
}
