// Any text is a document or an error; what parses writes JSON that parses to the same text again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ffbench/result/document_json.hpp"
#include "libcommon/base/assert.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  const auto document = ff::bench::parse_document(text);
  if (!document) {
    FF_ASSERT(!document.error().message().empty());
    return 0;
  }
  const std::string written = ff::bench::to_json(*document);
  const auto again = ff::bench::parse_document(written);
  FF_ASSERT(again.has_value(), written);
  FF_ASSERT(ff::bench::to_json(*again) == written, written);
  return 0;
}
