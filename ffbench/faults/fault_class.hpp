// Classes of faults that a kernel reports, and what to do about each.
//
// Source   Fire-Flyer AI-HPC paper, Table V: software 13 31 43 45; NVLink 74; memory ECC 63 64 94 95; uncorrectable
//          44 48 61 62 69 79; GSP 119. Xids that it does not name are `other`. The classes that are no GPU's are ours.
// Names    Appear in reports ("ff.xid/1"); never renamed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ff::bench {

enum class FaultClass : std::uint8_t {
  kSoftware,
  kNvlink,
  kEcc,
  kUncorrectable,
  kGsp,
  kOther,         // an Xid of no class above
  kNvswitch,      // SXid
  kMainMemory,    // EDAC, machine checks of memory controllers
  kMachineCheck,  // machine checks of anything else in the processor
  kNetwork,       // a link went down
};
inline constexpr int kFaultClassCount = 10;

// "software", "nvlink", "ecc", "uncorrectable", "gsp", "other", "nvswitch", "main_memory", "machine_check", "network".
std::string_view fault_class_name(FaultClass fault) noexcept;
std::optional<FaultClass> parse_fault_class(std::string_view name) noexcept;
// Reported by a GPU's driver as an Xid.
bool is_gpu_class(FaultClass fault) noexcept;
// What the paper names: user code, stress test, reset, reboot, field diagnostics and return.
std::string_view fault_action(FaultClass fault) noexcept;

FaultClass xid_class(unsigned xid) noexcept;
// A few words for the Xids of the table; empty for others.
std::string_view xid_meaning(unsigned xid) noexcept;

}  // namespace ff::bench
