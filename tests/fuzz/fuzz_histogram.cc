// Any bytes are a histogram or an error; what decodes is consistent and encodes back to the same bytes. The bytes are
// also tried with a right head and a right checksum around them, to reach the fields behind these.
#include <cstddef>
#include <cstdint>
#include <string>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/metrics/histogram.hpp"

namespace {

void check(const std::string& bytes) {
  using namespace ff::metrics;
  const auto decoded = Histogram::decode(bytes);
  if (!decoded) return;
  FF_ASSERT(decoded->encode() == bytes);
  FF_ASSERT(decoded->min() <= decoded->max(), decoded->min(), decoded->max());
  FF_ASSERT(decoded->count_at_most(INT64_MAX) == decoded->count());
  for (const double q : {0.0, 0.5, 0.99, 1.0}) {
    const std::int64_t value = decoded->percentile(q);
    FF_ASSERT(value >= decoded->min() && value <= decoded->max(), q, value);
  }
  Histogram twice = *decoded;
  FF_ASSERT(twice.merge(*decoded).has_value());
  FF_ASSERT(Histogram::decode(twice.encode()) == twice);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string input(reinterpret_cast<const char*>(data), bytes);
  check(input);
  std::string whole = std::string("FFH\x01", 4) + input;
  const std::uint32_t crc = ff::crc32c(0, whole.data(), whole.size());
  for (unsigned i = 0; i < 4; ++i) whole.push_back(static_cast<char>(crc >> (8 * i)));
  check(whole);
  return 0;
}
