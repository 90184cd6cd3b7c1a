// The control plane's stream reader and decoders on arbitrary bytes: no crash, no over-read, no large allocation; what
// decodes encodes back to itself.
#include <cstdint>
#include <string_view>

#include "hfreduce/control/wire.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::hfreduce::control;

void try_every_decoder(std::string_view body) {
  if (const auto hello = decode_hello(body)) FF_ASSERT(encode(*hello) == body);
  if (const auto verdict = decode_verdict(body)) FF_ASSERT(encode(*verdict) == body);
  if (const auto report = decode_report(body)) FF_ASSERT(encode(*report) == body);
  if (const auto strings = decode_strings(body)) FF_ASSERT(encode_strings(strings->round, strings->strings) == body);
  if (const auto table = decode_table(body)) FF_ASSERT(table->size() <= body.size());
  if (const auto state = decode_state(body)) FF_ASSERT(!describe(state->state).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view input(reinterpret_cast<const char*>(data), bytes);
  try_every_decoder(input);
  // The same bytes as a stream, cut in two.
  FrameReader reader;
  const std::size_t cut = bytes == 0 ? 0 : data[0] % bytes;
  for (const std::string_view part : {input.substr(0, cut), input.substr(cut)}) {
    reader.append(part);
    for (;;) {
      const auto message = reader.next();
      if (!message) return 0;
      if (!*message) break;
      try_every_decoder((*message)->body);
    }
  }
  return 0;
}
