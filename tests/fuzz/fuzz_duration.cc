// Any text is a duration that is not negative, or an error; what is printed is accepted again.
#include <cstdint>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/duration.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto duration = ff::parse_duration(text);
  if (!duration) {
    FF_ASSERT(duration.error().code() == ff::Errc::kInvalidArgument, duration.error().message());
    return 0;
  }
  FF_ASSERT(duration->count() >= 0, duration->count());
  const std::string printed = ff::format_duration(*duration);
  FF_ASSERT(ff::parse_duration(printed).has_value(), printed);
  return 0;
}
