// What a launcher and its agents read from each other, and what a login shell may print between: lines, the stream cut
// at any place, and the start message. What decodes is encoded to something that decodes to the same.
#include <cstdint>
#include <string_view>

#include "hfreduce/run/message.hpp"
#include "hfreduce/run/start_spec.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::hfreduce::run;

void try_message(const Message& message) {
  FF_ASSERT(!message.empty());
  const std::string line = encode_message(message);
  const auto again = decode_message(std::string_view(line).substr(0, line.size() - 1));
  FF_ASSERT(again && *again == message);
  for (std::size_t i = 0; i <= message.size(); ++i)
    if (const auto number = message_int(message, i, 1, 65535)) FF_ASSERT(*number >= 1 && *number <= 65535);
  const auto spec = start_spec_from(message);
  if (!spec) return;
  FF_ASSERT(!spec->command.empty() && spec->first_rank + spec->count <= spec->world_size);
  // A port is optional in the message and 0 without it, which is not a port that may be sent.
  if (spec->master_port == 0) return;
  const auto same = start_spec_from(to_message(*spec));
  FF_ASSERT(same && to_message(*same) == to_message(*spec));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto message = decode_message(input)) try_message(*message);
  MessageReader reader;
  const std::size_t cut = size == 0 ? 0 : data[0] % size;
  for (const std::string_view part : {input.substr(0, cut), input.substr(cut)}) {
    reader.feed(part);
    for (;;) {
      const auto message = reader.next();
      if (!message) return 0;
      if (!*message) break;
      try_message(**message);
    }
  }
  return 0;
}
