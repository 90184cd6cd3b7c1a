#include "ffbench/faults/fault_class.hpp"

#include <algorithm>
#include <array>

namespace ff::bench {
namespace {

struct ClassText {
  std::string_view name, action;
};
// In the order of FaultClass.
constexpr std::array<ClassText, kFaultClassCount> kClasses{{
    {"software", "look at the user's code; test the memory when it comes back with other code"},
    {"nvlink", "stress-test the NVLink bridge; reseat or replace it when the fault comes back"},
    {"ecc", "reset the GPU so that it remaps the row"},
    {"uncorrectable", "reset the GPU or reboot the node"},
    {"gsp", "run the vendor's field diagnostics; most such GPUs are returned (RMA)"},
    {"other", "look the number up in the vendor's list of Xids"},
    {"nvswitch", "stress-test NVLink; reset the switch and its GPUs together"},
    {"main_memory", "test the memory; replace the module when corrected errors come back or one is uncorrected"},
    {"machine_check", "read the machine check's bank; replace the processor or board when it comes back"},
    {"network", "check cable, transceiver and switch port; replace them when the link drops again"},
}};

struct XidText {
  unsigned xid;
  FaultClass fault;
  std::string_view meaning;
};
constexpr std::array<XidText, 16> kXids{{
    {13, FaultClass::kSoftware, "graphics engine exception"},
    {31, FaultClass::kSoftware, "memory page fault"},
    {43, FaultClass::kSoftware, "GPU stopped processing"},
    {44, FaultClass::kUncorrectable, "graphics engine fault during context switch"},
    {45, FaultClass::kSoftware, "preemptive cleanup after earlier errors"},
    {48, FaultClass::kUncorrectable, "double-bit ECC error"},
    {61, FaultClass::kUncorrectable, "internal microcontroller breakpoint or warning"},
    {62, FaultClass::kUncorrectable, "internal microcontroller halt"},
    {63, FaultClass::kEcc, "row remapping or page retirement recorded"},
    {64, FaultClass::kEcc, "row remapping or page retirement failed"},
    {69, FaultClass::kUncorrectable, "graphics engine class error"},
    {74, FaultClass::kNvlink, "NVLink error"},
    {79, FaultClass::kUncorrectable, "GPU has fallen off the bus"},
    {94, FaultClass::kEcc, "contained ECC error"},
    {95, FaultClass::kEcc, "uncontained ECC error"},
    {119, FaultClass::kGsp, "GSP remote call timed out"},
}};

const XidText* find_xid(unsigned xid) noexcept {
  const auto* at = std::ranges::find(kXids, xid, &XidText::xid);
  return at == kXids.end() ? nullptr : at;
}

}  // namespace

std::string_view fault_class_name(FaultClass fault) noexcept { return kClasses[static_cast<std::size_t>(fault)].name; }

std::optional<FaultClass> parse_fault_class(std::string_view name) noexcept {
  const auto* at = std::ranges::find(kClasses, name, &ClassText::name);
  if (at == kClasses.end()) return std::nullopt;
  return static_cast<FaultClass>(at - kClasses.begin());
}

bool is_gpu_class(FaultClass fault) noexcept { return fault <= FaultClass::kOther; }

std::string_view fault_action(FaultClass fault) noexcept { return kClasses[static_cast<std::size_t>(fault)].action; }

FaultClass xid_class(unsigned xid) noexcept {
  const XidText* found = find_xid(xid);
  return found == nullptr ? FaultClass::kOther : found->fault;
}

std::string_view xid_meaning(unsigned xid) noexcept {
  const XidText* found = find_xid(xid);
  return found == nullptr ? std::string_view{} : found->meaning;
}

}  // namespace ff::bench
