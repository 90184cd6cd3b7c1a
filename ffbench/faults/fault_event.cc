#include "ffbench/faults/fault_event.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "ffbench/faults/journal_line.hpp"
#include "ffbench/faults/log_prefix.hpp"

namespace ff::bench {
namespace {

constexpr unsigned kXidMax = 99'999;
constexpr std::uint64_t kRepeatsMax = 1'000'000;  // a line cannot claim more
constexpr std::size_t kDeviceBytesMax = 64;

bool contains(std::string_view text, std::string_view what) { return text.find(what) != std::string_view::npos; }

template <class T>
std::optional<T> leading_number(std::string_view text, T max, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || value > max) return std::nullopt;
  return value;
}

// Control characters and bytes above ASCII become dots: events are printed and written to tables.
std::string printable(std::string_view text, std::size_t bytes_max) {
  std::string clean(text.substr(0, bytes_max));
  std::ranges::replace_if(clean, [](char c) { return c < ' ' || c > '~'; }, '.');
  return clean;
}

struct Found {
  FaultClass fault = FaultClass::kOther;
  std::string code;
  std::optional<unsigned> number = {};
  std::string_view device;
  std::uint64_t repeats = 1;
  bool link_up = false;
};

// "Xid (PCI:0000:3b:00): 79, ..": the word before is given, and so "SXid" is told from "Xid".
std::optional<Found> find_xid(std::string_view text, std::string_view word) {
  const auto at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = text.substr(at + word.size());
  const auto close = rest.find(')');
  if (close == std::string_view::npos || close > kDeviceBytesMax) return std::nullopt;
  std::string_view device = rest.substr(0, close);
  rest.remove_prefix(close + 1);
  if (!rest.starts_with(':')) return std::nullopt;
  rest.remove_prefix(1);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const auto number = leading_number<unsigned>(rest, kXidMax);
  if (!number) return std::nullopt;
  if (device.starts_with("PCI:")) device.remove_prefix(4);
  device = device.substr(0, device.find(' '));  // a partition of the GPU is still this GPU
  return Found{.code = std::to_string(*number), .number = number, .device = device};
}

std::optional<Found> gpu_fault(std::string_view text) {
  auto found = find_xid(text, "NVRM: Xid (");
  if (found) found->fault = xid_class(*found->number);
  return found;
}

std::optional<Found> nvswitch_fault(std::string_view text) {
  auto found = find_xid(text, ": SXid (");
  if (found) found->fault = FaultClass::kNvswitch;
  return found;
}

// "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 ..)"
std::optional<Found> edac_fault(std::string_view text) {
  const auto at = text.find("EDAC MC");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view device = text.substr(at + 5);
  const auto colon = device.find(": ");
  if (colon == std::string_view::npos || colon < 3 || colon > 8) return std::nullopt;  // "MC0" to "MC999999"
  std::string_view rest = device.substr(colon + 2);
  const auto count = leading_number<std::uint64_t>(rest, kRepeatsMax);
  if (!count || *count == 0) return std::nullopt;
  rest = rest.substr(std::min(rest.find(' '), rest.size()));
  const bool corrected = rest.starts_with(" CE ");
  if (!corrected && !rest.starts_with(" UE ")) return std::nullopt;
  return Found{.fault = FaultClass::kMainMemory,
               .code = corrected ? "CE" : "UE",
               .device = device.substr(0, colon),
               .repeats = *count};
}

// "[Hardware Error]: CPU 1: Machine Check: 0 Bank 8: 8c00004000010090". Error codes 0000 0000 1MMM CCCC are the memory
// controllers' (Intel SDM volume 3B, 16.9); bit 61 of the status says that the error was not corrected.
std::optional<Found> machine_check(std::string_view text) {
  const auto at = text.find("Machine Check: ");
  const auto bank = at == std::string_view::npos ? at : text.find(" Bank ", at);
  const auto colon = bank == std::string_view::npos ? bank : text.find(": ", bank);
  if (colon == std::string_view::npos || colon - bank > 16) return std::nullopt;
  const auto status = leading_number<std::uint64_t>(text.substr(colon + 2), UINT64_MAX, 16);
  if (!status) return std::nullopt;
  const bool memory = (*status & 0xff80) == 0x0080;
  const bool uncorrected = (*status >> 61 & 1) != 0;
  return Found{.fault = memory ? FaultClass::kMainMemory : FaultClass::kMachineCheck,
               .code = uncorrected ? "UE" : "CE",
               .device = text.substr(bank + 1, colon - bank - 1)};
}

std::optional<Found> firmware_memory_error(std::string_view text) {
  if (!contains(text, "section_type: memory error")) return std::nullopt;
  return Found{.fault = FaultClass::kMainMemory, .code = "GHES", .device = "firmware"};
}

struct LinkPhrase {
  std::string_view text;
  bool up;
};
constexpr std::array<LinkPhrase, 10> kLinkPhrases{{{"Link is Down", false},
                                                   {"Link is Up", true},
                                                   {"Link is down", false},
                                                   {"Link is up", true},
                                                   {": Link down", false},
                                                   {": Link up", true},
                                                   {": Link Down", false},
                                                   {": Link Up", true},
                                                   {" Link DOWN", false},
                                                   {" Link ACTIVE", true}}};

// The interface is the last word before the phrase that is neither the driver's name nor an address:
// "mlx5_core 0000:3b:00.0 ens1f0: Link down", "igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down", "mlx5_0: Port 1 Link
// DOWN".
std::string_view interface_before(std::string_view text) {
  for (;;) {
    const auto end = text.find_last_not_of(": ");
    if (end == std::string_view::npos) return {};
    text = text.substr(0, end + 1);
    const auto start = text.find_last_of(" ");
    const std::string_view word = start == std::string_view::npos ? text : text.substr(start + 1);
    const bool number = word.find_first_not_of("0123456789") == std::string_view::npos;
    if (word != "Port" && word != "NIC" && !number && !word.ends_with(')')) return word;
    if (start == std::string_view::npos) return {};
    text = text.substr(0, start);
  }
}

std::optional<Found> link_change(std::string_view text) {
  if (contains(text, "SATA") || contains(text, "pciehp") || contains(text, "Slot(")) return std::nullopt;
  for (const LinkPhrase& phrase : kLinkPhrases) {
    const auto at = text.find(phrase.text);
    if (at == std::string_view::npos) continue;
    const std::string_view device = interface_before(text.substr(0, at));
    if (device.empty() || device.size() > kDeviceBytesMax) return std::nullopt;
    return Found{
        .fault = FaultClass::kNetwork, .code = phrase.up ? "up" : "down", .device = device, .link_up = phrase.up};
  }
  return std::nullopt;
}

// Each is a part of some line below; most lines of a log have none of them.
bool worth_reading(std::string_view line) {
  return contains(line, "Xid (") || contains(line, "EDAC MC") || contains(line, "Machine Check: ") ||
         contains(line, "section_type: memory") || contains(line, "Link ");
}

std::optional<Found> find_fault(std::string_view text) {
  if (auto found = gpu_fault(text)) return found;
  if (auto found = nvswitch_fault(text)) return found;
  if (auto found = edac_fault(text)) return found;
  if (auto found = machine_check(text)) return found;
  if (auto found = firmware_memory_error(text)) return found;
  return link_change(text);
}

// Of "message repeated 3 times: [ .. ]", which stands for three more lines.
std::uint64_t claimed_repeats(std::string_view message) {
  constexpr std::string_view kWords = "message repeated ";
  if (!message.starts_with(kWords)) return 1;
  return std::max<std::uint64_t>(1,
                                 leading_number<std::uint64_t>(message.substr(kWords.size()), kRepeatsMax).value_or(1));
}

}  // namespace

std::optional<FaultEvent> parse_fault(std::string_view line, const LogContext& context) {
  if (!worth_reading(line)) return std::nullopt;
  LogPrefix prefix;
  std::optional<JournalEntry> entry;
  if (line.starts_with('{')) entry = parse_journal_line(line);
  if (entry) {
    if (!entry->kernel) return std::nullopt;
    prefix = split_log_line(entry->message, context.reference_ns);
    if (entry->time_ns) prefix.time_ns = entry->time_ns;
    if (!entry->host.empty()) prefix.host = entry->host;
  } else {
    prefix = split_log_line(line, context.reference_ns);
  }
  if (prefix.foreign) return std::nullopt;
  const auto found = find_fault(prefix.message);
  if (!found) return std::nullopt;
  FaultEvent event;
  event.fault = found->fault;
  event.code = found->code;
  event.number = found->number;
  event.device = printable(found->device, kDeviceBytesMax);
  event.host = prefix.host.empty() ? context.host : printable(prefix.host, 255);
  event.time_ns = prefix.time_ns;
  event.uptime_ns = prefix.uptime_ns;
  if (!event.time_ns && event.uptime_ns && context.boot_ns) event.time_ns = *context.boot_ns + *event.uptime_ns;
  event.repeats = std::min(kRepeatsMax, found->repeats * claimed_repeats(prefix.message));
  event.link_up = found->link_up;
  event.message = printable(prefix.message, kMessageBytesMax);
  return event;
}

}  // namespace ff::bench
