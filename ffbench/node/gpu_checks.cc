// GPUs: states and counters, every byte of memory, matrix products with memory full.
#include <fmt/core.h>

#include <algorithm>

#include "ffbench/node/checks.hpp"
#include "ffbench/node/gpu.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

constexpr double kQuickMemoryShare = 0.02;
constexpr double kQuickGemmShare = 0.05, kFullGemmShare = 0.97;
// GPUs are tested one after the other, and the host reads all bytes back and checks them with one thread: what is quick
// for eight GPUs does not depend on how much memory they have.
constexpr std::uint64_t kQuickMemoryBytes = 512 * kMiB, kQuickGemmBytes = 2 * kGiB;
constexpr int kQuickOrder = 1024, kFullOrder = 4096;
constexpr unsigned kTemperatureWarn = 85;
constexpr const char* kReseat = "reseat the card; check riser, slot and power";

std::string id_of(int gpu, const std::string& what) { return "gpu." + std::to_string(gpu) + "." + what; }

// Not installed: this node has no GPU that we know of. Anything else is the GPU's or the driver's fault.
Finding unmeasured(const std::string& id, const std::string& measures, const Error& error) {
  const bool absent = error.code() == Errc::kUnsupported;
  return statement(id, measures, absent ? CheckVerdict::kSkip : CheckVerdict::kFail,
                   absent ? "no GPU library: " + error.message() : error.message(),
                   absent ? "" : "look at dmesg for Xids; reset the GPU or reboot");
}

Finding number(const std::string& id, const std::string& measures, double value, std::string reason) {
  Finding f = statement(id, measures, CheckVerdict::kPass, std::move(reason));
  f.value = value;
  return f;
}

void judge_pcie(Findings& findings, const GpuState& gpu) {
  const auto link = [&](const std::string& what, std::optional<unsigned> now, std::optional<unsigned> best,
                        CheckVerdict below) {
    if (!now || !best) return;
    Finding f =
        number(id_of(gpu.index, what), "PCIe " + what + " of " + gpu.name, *now, fmt::format("{} of {}", *now, *best));
    f.threshold = *best;
    // Profiles and fleets compare what proves something.
    if (below != CheckVerdict::kPass) f.better = Better::kHigher;
    if (*now < *best) {
      f.verdict = below;
      f.reason = fmt::format("GPU {} at {} runs at PCIe {} {} of {}", gpu.index, gpu.pci_address, what, *now, *best);
      f.fix = below == CheckVerdict::kPass ? "" : kReseat;
    }
    findings.push_back(std::move(f));
  };
  link("pcie_width", gpu.pcie_width, gpu.pcie_width_max, CheckVerdict::kFail);
  // GPUs at rest lower the generation: a slower one proves nothing.
  link("pcie_generation", gpu.pcie_generation, gpu.pcie_generation_max, CheckVerdict::kPass);
}

void judge_ecc(Findings& findings, const GpuState& gpu) {
  if (gpu.ecc_uncorrected) {
    Finding f = number(
        id_of(gpu.index, "ecc"), "memory errors of " + gpu.name + " since the driver was loaded",
        static_cast<double>(*gpu.ecc_uncorrected + gpu.ecc_corrected.value_or(0)),
        fmt::format("{} corrected, {} uncorrected ({} and {} ever)", gpu.ecc_corrected.value_or(0),
                    *gpu.ecc_uncorrected, gpu.ecc_corrected_ever.value_or(0), gpu.ecc_uncorrected_ever.value_or(0)));
    f.threshold = 0;
    if (*gpu.ecc_uncorrected > 0) f.verdict = CheckVerdict::kFail;
    if (*gpu.ecc_uncorrected == 0 && gpu.ecc_corrected.value_or(0) > 0) f.verdict = CheckVerdict::kWarn;
    if (f.verdict != CheckVerdict::kPass)
      f.fix = "reset the GPU so that it remaps the row; return it when the errors come back";
    findings.push_back(std::move(f));
  }
  if (gpu.row_remap_failed)
    findings.push_back(statement(id_of(gpu.index, "remap"), "row remapping", CheckVerdict::kFail,
                                 fmt::format("GPU {} could not remap a row: its spare rows are used up", gpu.index),
                                 "return the GPU (RMA)"));
  if (gpu.row_remap_pending)
    findings.push_back(statement(id_of(gpu.index, "remap"), "row remapping", CheckVerdict::kWarn,
                                 fmt::format("GPU {} has a row to remap", gpu.index), "reset the GPU"));
  if (gpu.retired_pages.value_or(0) > 0)
    findings.push_back(statement(id_of(gpu.index, "retired"), "retired pages", CheckVerdict::kWarn,
                                 fmt::format("GPU {} has retired {} pages", gpu.index, *gpu.retired_pages),
                                 "return it above 60 pages"));
}

void judge_nvlinks(Findings& findings, const GpuState& gpu) {
  if (gpu.nvlinks.empty()) return;
  std::string down, noisy;
  for (const NvlinkState& link : gpu.nvlinks) {
    if (!link.active) down += (down.empty() ? "" : ", ") + std::to_string(link.link);
    if (link.errors > 0) noisy += (noisy.empty() ? "" : ", ") + fmt::format("{} ({})", link.link, link.errors);
  }
  const double active = static_cast<double>(std::ranges::count(gpu.nvlinks, true, &NvlinkState::active));
  Finding f = number(id_of(gpu.index, "nvlink"), "NVLinks of " + gpu.name + " that are up", active,
                     fmt::format("{} of {} up", active, gpu.nvlinks.size()));
  f.threshold = static_cast<double>(gpu.nvlinks.size());
  f.better = Better::kHigher;
  // A board without a bridge has all links down; a profile knows whether it should have one.
  if (!down.empty() && active > 0) {
    f.verdict = CheckVerdict::kFail;
    f.reason = fmt::format("NVLink {} of GPU {} is down", down, gpu.index);
    f.fix = "reseat or replace the NVLink bridge";
  } else if (!noisy.empty()) {
    f.verdict = CheckVerdict::kWarn;
    f.reason += "; errors on links " + noisy;
    f.fix = "stress-test the NVLink bridge; replace it when the count grows";
  }
  findings.push_back(std::move(f));
}

void judge_heat(Findings& findings, const GpuState& gpu) {
  const std::string trouble = throttle_trouble(gpu.throttle_reasons.value_or(0));
  Finding f = statement(id_of(gpu.index, "clock"), "clock and heat of " + gpu.name, CheckVerdict::kPass,
                        fmt::format("{} of {} MHz, {} C", gpu.sm_mhz.value_or(0), gpu.sm_mhz_max.value_or(0),
                                    gpu.temperature_c.value_or(0)));
  if (gpu.temperature_c) f.value = *gpu.temperature_c;
  f.threshold = kTemperatureWarn;
  if (!trouble.empty()) {
    f.verdict = CheckVerdict::kFail;
    f.reason = fmt::format("GPU {} is slowed down: {} ({})", gpu.index, trouble, f.reason);
    f.fix = "check cooling and power cables";
  } else if (gpu.temperature_c.value_or(0) > kTemperatureWarn) {
    f.verdict = CheckVerdict::kWarn;
    f.fix = "check cooling";
  }
  findings.push_back(std::move(f));
}

// Runs `test` for each GPU.
template <class Test>
Findings for_each_gpu(const NodeContext& context, const std::string& name, const std::string& measures, Test test) {
  const auto library = open_gpu_library(context.gpu_libraries);
  const auto count = library->count();
  if (!count) return {unmeasured(name, measures, count.error())};
  if (*count == 0) return {statement(name, measures, CheckVerdict::kSkip, "the driver shows no GPU")};
  Findings findings;
  for (int gpu = 0; gpu < *count; ++gpu) test(*library, gpu, findings);
  return findings;
}

}  // namespace

Findings check_gpu_state(const NodeContext& context) {
  const auto states = open_gpu_library(context.gpu_libraries)->states();
  if (!states) return {unmeasured("gpu", "GPUs", states.error())};
  Finding count = number("gpu.count", "GPUs that the driver shows", static_cast<double>(states->size()),
                         fmt::format("{} GPUs", states->size()));
  count.better = Better::kHigher;
  Findings findings{std::move(count)};
  for (const GpuState& gpu : *states) {
    judge_pcie(findings, gpu);
    judge_ecc(findings, gpu);
    judge_nvlinks(findings, gpu);
    judge_heat(findings, gpu);
  }
  return findings;
}

Findings check_gpu_memory(const NodeContext& context) {
  const std::string measures = "wrong words of GPU memory";
  return for_each_gpu(context, "gpu_memory", measures, [&](GpuLibrary& library, int gpu, Findings& findings) {
    const std::string id = "gpu_memory." + std::to_string(gpu);
    const auto report = library.test_memory(gpu, context.full() ? 1.0 : kQuickMemoryShare,
                                            context.full() ? GpuLibrary::kNoLimit : kQuickMemoryBytes);
    if (!report) return findings.push_back(unmeasured(id, measures, report.error()));
    Finding f = number(
        id, measures, static_cast<double>(report->faults),
        fmt::format("{} tested with {} patterns", format_byte_size(report->bytes_tested), report->patterns.size()));
    f.threshold = 0;
    if (report->faults > 0) {
      f.verdict = CheckVerdict::kFail;
      f.reason = fmt::format("{} wrong words on GPU {}; first at {}", report->faults, gpu, report->first);
      f.fix = "reset the GPU and test again; return it when it fails again";
    }
    findings.push_back(std::move(f));
  });
}

Findings check_gpu_gemm(const NodeContext& context) {
  const std::string measures = "wrong rows of matrix products with known sums, GPU memory full";
  return for_each_gpu(context, "gpu_gemm", measures, [&](GpuLibrary& library, int gpu, Findings& findings) {
    const std::string id = "gpu_gemm." + std::to_string(gpu);
    const auto report = library.stress_gemm(gpu, context.full() ? kFullGemmShare : kQuickGemmShare,
                                            context.full() ? kFullOrder : kQuickOrder,
                                            context.full() ? GpuLibrary::kNoLimit : kQuickGemmBytes);
    if (!report) return findings.push_back(unmeasured(id, measures, report.error()));
    Finding truth = number(id + ".wrong", measures, static_cast<double>(report->wrong),
                           fmt::format("{} products in {}", report->products, format_byte_size(report->bytes_filled)));
    truth.threshold = 0;
    if (report->wrong > 0) {
      truth.verdict = CheckVerdict::kFail;
      truth.reason = fmt::format("{} wrong rows on GPU {}; first: {}", report->wrong, gpu, report->first);
      truth.fix = "take the GPU out: it computes wrongly; return it when it does so again";
    }
    findings.push_back(std::move(truth));
    Finding rate = number(id + ".rate", "operations of the GPU", report->flops,
                          fmt::format("{:.2f} TFLOP/s", report->flops / 1e12));
    rate.unit = "FLOP/s";
    rate.better = Better::kHigher;
    findings.push_back(std::move(rate));
  });
}

}  // namespace ff::bench
