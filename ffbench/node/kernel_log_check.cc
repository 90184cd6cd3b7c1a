// Faults in the kernel's log of the last hours, by the classes of `ffbench xid`.
#include <fmt/core.h>

#include <chrono>

#include "ffbench/faults/fault_counts.hpp"
#include "ffbench/faults/log_files.hpp"
#include "ffbench/node/checks.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

// An error that hardware could not mend fails the node; one that it could is worth a warning; user code is neither.
CheckVerdict verdict_of(FaultClass fault) {
  switch (fault) {
    case FaultClass::kSoftware: return CheckVerdict::kPass;
    case FaultClass::kUncorrectable:
    case FaultClass::kGsp: return CheckVerdict::kFail;
    default: return CheckVerdict::kWarn;
  }
}

}  // namespace

Findings check_kernel_log(const NodeContext& context) {
  const double uptime_s = machine::number_of<double>(machine::text_of(context.root + "/proc/uptime")).value_or(0);
  const auto oldest_ns = static_cast<std::int64_t>(uptime_s * 1e9) - context.log_window.count();
  FaultCounts counts;
  std::uint64_t uncorrected_memory = 0;
  const auto read = read_kernel_log(context.root, [&](const FaultEvent& event) -> Result<> {
    if (event.uptime_ns && *event.uptime_ns < oldest_ns) return {};
    if (counts.add(event) && event.code == "UE") ++uncorrected_memory;
    return {};
  });
  const std::string measures = "faults in the kernel's log";
  if (!read) return {statement("kernel_log", measures, CheckVerdict::kSkip, read.error().message())};
  Findings findings;
  for (int i = 0; i < kFaultClassCount; ++i) {
    const auto fault = static_cast<FaultClass>(i);
    const std::uint64_t count = counts.by_class()[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    std::string codes;
    for (const auto& [key, n] : counts.by_code())
      if (key.fault == fault) codes += (codes.empty() ? "" : ", ") + fmt::format("{} x {}", n, key.code);
    std::string devices;
    for (const auto& [key, classes] : counts.by_device())
      if (classes[static_cast<std::size_t>(i)] > 0 && devices.size() < 200)
        devices += (devices.empty() ? "" : ", ") + key.second;
    const std::string name(fault_class_name(fault));
    Finding f = statement(
        "kernel_log." + name, name + " faults", verdict_of(fault),
        fmt::format("{} in the last {}: {} of {}", count, format_duration(context.log_window), codes, devices),
        std::string(fault_action(fault)));
    f.value = static_cast<double>(count);
    f.threshold = 0;
    const bool hardware = fault == FaultClass::kMainMemory || fault == FaultClass::kMachineCheck;
    if (hardware && uncorrected_memory > 0) f.verdict = CheckVerdict::kFail;
    if (f.verdict == CheckVerdict::kPass) f.fix.clear();
    findings.push_back(std::move(f));
  }
  if (findings.empty())
    findings.push_back(
        statement("kernel_log", measures, CheckVerdict::kPass, fmt::format("no faults in {} lines", read->lines)));
  return findings;
}

}  // namespace ff::bench
