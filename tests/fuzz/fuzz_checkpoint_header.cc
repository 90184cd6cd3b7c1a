// Any 128 bytes are a checkpoint's header or an error; what decodes is a possible model and encodes back to the fields
// that were read. The checksum is also made right, so that mutations reach the checks behind it.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "tools/fftrain/checkpoint_format.hpp"

namespace {

using namespace ff::fftrain;
constexpr std::size_t kCrcAt = 124, kFileBytesAt = 16;  // checkpoint.md

void try_header(const std::array<std::byte, kHeaderBytes>& bytes) {
  std::uint64_t promised = 0;
  std::memcpy(&promised, bytes.data() + kFileBytesAt, sizeof promised);
  const auto header = decode_header(bytes, promised);
  if (!header) return;
  FF_ASSERT(check(header->model).has_value());
  FF_ASSERT(checkpoint_bytes(header->parameters) == promised, promised);
  // A file of any other size is torn.
  FF_ASSERT(!decode_header(bytes, promised - 1) && !decode_header(bytes, promised + 1));
  const auto again = decode_header(encode_header(*header), promised);
  FF_ASSERT(again && *again == *header);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<std::byte, kHeaderBytes> bytes{};
  if (size > 0) std::memcpy(bytes.data(), data, std::min(size, bytes.size()));
  try_header(bytes);
  const std::uint32_t crc = ff::crc32c(0, bytes.data(), kCrcAt);
  std::memcpy(bytes.data() + kCrcAt, &crc, sizeof crc);
  try_header(bytes);
  return 0;
}
