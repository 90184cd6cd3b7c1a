// Error counters of main memory that the EDAC drivers keep.
#include <fmt/core.h>

#include "ffbench/node/checks.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kCorrectedMax = 1000;  // since the boot, of one controller: more is a module on its way out

std::uint64_t count_of(const std::string& path) {
  return machine::number_of<std::uint64_t>(machine::text_of(path)).value_or(0);
}

// "DIMM_A1 (12), DIMM_B1 (1)"
std::string modules_with_errors(const std::string& controller) {
  std::string modules;
  for (const std::string& name : machine::entries_of(controller)) {
    if (!machine::index_after(name, "dimm") && !machine::index_after(name, "rank")) continue;
    const std::string folder = controller + "/" + name;
    const std::uint64_t errors = count_of(folder + "/dimm_ce_count") + count_of(folder + "/dimm_ue_count");
    if (errors == 0) continue;
    const std::string label = machine::text_of(folder + "/dimm_label");
    modules += (modules.empty() ? "" : ", ") + fmt::format("{} ({})", label.empty() ? name : label, errors);
  }
  return modules;
}

Finding controller_finding(const std::string& folder, const std::string& name) {
  const std::uint64_t corrected = count_of(folder + "/ce_count"), uncorrected = count_of(folder + "/ue_count");
  Finding f = statement("memory_ecc." + name, "memory errors of " + name + " since the boot", CheckVerdict::kPass,
                        fmt::format("{} corrected, {} uncorrected", corrected, uncorrected));
  f.value = static_cast<double>(corrected + uncorrected);
  f.threshold = 0;
  if (corrected + uncorrected == 0) return f;
  f.verdict = uncorrected > 0 || corrected > kCorrectedMax ? CheckVerdict::kFail : CheckVerdict::kWarn;
  const std::string modules = modules_with_errors(folder);
  if (!modules.empty()) f.reason += " on " + modules;
  f.fix = f.verdict == CheckVerdict::kFail ? "replace the memory module"
                                           : "test the memory; replace the module when the count grows";
  return f;
}

}  // namespace

Findings check_memory_ecc(const NodeContext& context) {
  Findings findings;
  const std::string controllers = context.root + "/sys/devices/system/edac/mc";
  for (const std::string& name : machine::entries_of(controllers))
    if (machine::index_after(name, "mc")) findings.push_back(controller_finding(controllers + "/" + name, name));
  if (findings.empty())
    findings.push_back(
        statement("memory_ecc", "memory errors", CheckVerdict::kSkip,
                  "the kernel has no memory controller under EDAC (no ECC memory, or no driver for it)"));
  return findings;
}

}  // namespace ff::bench
