// Whatever bytes a string holds, its JSON is one line of valid UTF-8 without bare controls, and every double reads back
// to the same value.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/utf8.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ff::report::JsonWriter json;
  json.begin_object().field(text, text).end_object();
  const std::string& written = json.text();
  for (std::size_t i = 0; i < written.size();) {
    const auto c = ff::report::decode_utf8(written, i);
    FF_ASSERT(c.valid && c.value >= 0x20, i, static_cast<unsigned>(c.value));
    i += c.bytes;
  }

  double number = 0;
  if (size > 0) std::memcpy(&number, data, size < sizeof number ? size : sizeof number);
  ff::report::JsonWriter scalar;
  scalar.value(number);
  if (!std::isfinite(number)) {
    FF_ASSERT(scalar.text() == "null", scalar.text());
    return 0;
  }
  double back = 0;
  std::from_chars(scalar.text().data(), scalar.text().data() + scalar.text().size(), back);
  FF_ASSERT(back == number, scalar.text());
  return 0;
}
