// Any text is a size or an error; a size that prints exactly reads back as itself.
#include <cstdint>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/byte_size.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto bytes = ff::parse_byte_size(text);
  if (!bytes) {
    FF_ASSERT(bytes.error().code() == ff::Errc::kInvalidArgument, bytes.error().message());
    return 0;
  }
  const std::string printed = ff::format_byte_size(*bytes);
  if (printed.find('.') == std::string::npos && *bytes < 1024) {
    const auto back = ff::parse_byte_size(printed);
    FF_ASSERT(back && *back == *bytes, printed, *bytes);
  }
  return 0;
}
