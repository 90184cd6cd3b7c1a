// FaultEvent: one fault in a kernel log: where, when, and of which class.
//
// Recognised
//   NVRM: Xid (PCI:0000:3b:00): 79, pid=..           also without "PCI:" and with a partition ("GPU-I:05")
//   nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 ..
//   EDAC MC0: 1 CE memory read error on ..           corrected (CE) and uncorrected (UE), with their number
//   mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 8: 8c00004000010090       by the error code in the status
//   {1}[Hardware Error]:   section_type: memory error                              firmware first (GHES)
//   mlx5_core 0000:3b:00.0 ens1f0: Link down         and "NIC Link is Down", "Port 1 Link DOWN"; not SATA, not PCI
//   slots message repeated 3 times: [ .. ]                 counts three times
// Threads  Pure functions. Any bytes are taken; a line is a fault or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ffbench/faults/fault_class.hpp"

namespace ff::bench {

struct FaultEvent {
  FaultClass fault = FaultClass::kOther;
  std::string code;                       // "79"; "CE" or "UE" for memory; "down"
  std::optional<unsigned> number = {};    // of Xid and SXid
  std::string device;                     // "0000:3b:00", "MC0", "ens1f0"
  std::string host;                       // empty: unknown
  std::optional<std::int64_t> time_ns;    // since 1970
  std::optional<std::int64_t> uptime_ns;  // since the boot
  std::uint64_t repeats = 1;
  bool link_up = false;  // the end of a fault and no fault: `fault` is kNetwork, `code` is "up"
  std::string message;   // the line without its prefix, printable, cut at kMessageBytesMax
};
inline constexpr std::size_t kMessageBytesMax = 200;

// What a log as a whole tells about its lines.
struct LogContext {
  std::int64_t reference_ns = 0;             // now: see split_log_line()
  std::string host = {};                     // of lines that name none
  std::optional<std::int64_t> boot_ns = {};  // since 1970: gives times since the boot a date
};

std::optional<FaultEvent> parse_fault(std::string_view line, const LogContext& context);

}  // namespace ff::bench
