// Any bytes are frames of a link or an error: headers encode back to the same bytes, and the cutter gives views that
// lie in its input, whatever the pieces in which they come.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/net/frame.hpp"

namespace {

using namespace ff::net;

void header(std::span<const std::byte, kFrameHeaderBytes> given) {
  FrameHeaderBytes bytes;
  std::ranges::copy(given, bytes.begin());
  if (const auto decoded = decode_frame_header(bytes)) FF_ASSERT(encode_frame_header(*decoded) == bytes);
  // With magic and checksum mended the fields behind them are reached too.
  std::memcpy(bytes.data(), "FFM1", 4);
  const std::uint32_t crc = ff::crc32c(0, bytes.data(), 44);
  std::memcpy(bytes.data() + 44, &crc, sizeof crc);
  if (const auto decoded = decode_frame_header(bytes)) FF_ASSERT(encode_frame_header(*decoded) == bytes);
}

void cut(std::span<const std::byte> stream, std::size_t piece) {
  FrameCutter cutter(1024);
  std::size_t begin = 0;
  for (std::size_t end = 0; end < stream.size();) {
    end = std::min(end + piece, stream.size());
    while (true) {
      const auto unread = stream.subspan(begin, end - begin);
      const auto frame = cutter.peek(unread);
      if (!frame) return;
      if (!*frame) {
        FF_ASSERT(cutter.wanted() > unread.size());
        break;
      }
      const auto payload = (*frame)->payload;
      FF_ASSERT(payload.data() == unread.data() + kFrameHeaderBytes);
      FF_ASSERT(kFrameHeaderBytes + payload.size() <= unread.size());
      if ((*frame)->header.type == FrameType::kPull) static_cast<void>(decode_pull((*frame)->header, payload));
      FF_ASSERT(reason_text(payload).size() <= kReasonBytesMax);
      begin += cutter.consume();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const auto input = std::as_bytes(std::span(data, bytes));
  if (input.size() >= kFrameHeaderBytes) header(input.first<kFrameHeaderBytes>());
  if (!input.empty()) cut(input.subspan(1), static_cast<std::size_t>(input[0]) + 1);
  return 0;
}
