// Any 32 bytes are a frame header or an error, any 160 bytes are a preamble or an error; what decodes encodes back to
// the same bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hfreduce/net/frame.hpp"
#include "libcommon/base/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  using namespace ff::hfreduce::net;
  if (bytes >= kFrameHeaderBytes) {
    FrameHeaderBytes in;
    std::memcpy(in.data(), data, in.size());
    if (const auto header = decode_frame_header(in)) FF_ASSERT(encode_frame_header(*header) == in);
    // With a right checksum the fields behind it are reached too.
    FrameHeader whole{.kind = static_cast<FrameKind>(data[3])};
    std::memcpy(&whole.length, data + 24, sizeof whole.length);
    const auto again = decode_frame_header(encode_frame_header(whole));
    if (again) FF_ASSERT(*again == whole);
  }
  if (bytes >= kPreambleBytes) {
    PreambleBytes in;
    std::memcpy(in.data(), data, in.size());
    if (const auto preamble = decode_preamble(in)) FF_ASSERT(encode_preamble(*preamble) == in);
  }
  return 0;
}
