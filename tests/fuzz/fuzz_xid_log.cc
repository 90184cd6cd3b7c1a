// Any bytes are a kernel log or none: lines are split and counted within bounds, what is printed is printable, and a
// table of failures made of them is read or refused.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ffbench/faults/civil_time.hpp"
#include "ffbench/faults/failure_table.hpp"
#include "ffbench/faults/fault_counts.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::bench;

void check(const FaultEvent& event) {
  FF_ASSERT(event.message.size() <= kMessageBytesMax, event.message.size());
  for (const std::string* text : {&event.message, &event.device, &event.host})
    for (const char c : *text) FF_ASSERT(c >= ' ' && c <= '~', static_cast<int>(c));
  FF_ASSERT(event.repeats >= 1 && event.repeats <= 1'000'000, event.repeats);
  FF_ASSERT(parse_fault_class(fault_class_name(event.fault)) == event.fault);
  if (event.time_ns) FF_ASSERT(parse_time(instant_text(*event.time_ns))->ns == *event.time_ns, *event.time_ns);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view input(reinterpret_cast<const char*>(data), bytes);
  const LogContext context{.reference_ns = 1'795'392'000 * kSecondNs, .boot_ns = 1'795'000'000 * kSecondNs};
  FaultCounts counts(std::chrono::seconds(5));
  std::vector<Failure> failures;
  FailureReader reader("fuzz", failures);
  bool table = true;
  for (std::string_view rest = input; !rest.empty();) {
    const auto newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest = newline == std::string_view::npos ? std::string_view{} : rest.substr(newline + 1);
    if (const auto event = parse_fault(line, context)) {
      check(*event);
      counts.add(*event);
    }
    table = table && reader.add_line(line).has_value();
  }
  FF_ASSERT(sum(counts.by_class()) == counts.total(), counts.total());
  return 0;
}
