// PCIe links of NICs, NVMe disks and GPUs: narrower or slower than device and slot can be is a bad seat or a bad riser.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "ffbench/node/checks.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

using machine::number_of;
using machine::text_of;

struct Kind {
  const char* class_prefix;
  const char* name;
  bool sleeps;  // slows its link down when idle
};
constexpr std::array<Kind, 5> kKinds{{{"0x02", "network device", false},
                                      {"0x0108", "NVMe disk", false},
                                      {"0x0300", "GPU", true},
                                      {"0x0302", "GPU", true},
                                      {"0x1200", "accelerator", true}}};

const Kind* kind_of(const std::string& device_class) {
  const auto* at =
      std::ranges::find_if(kKinds, [&](const Kind& kind) { return device_class.starts_with(kind.class_prefix); });
  return at == kKinds.end() ? nullptr : at;
}

// What both the device and the port above it can do; the device alone where the port does not say.
double reachable(const std::string& folder, const std::string& name) {
  const double own = number_of<double>(text_of(folder + "/" + name)).value_or(0);
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(folder.c_str(), nullptr), std::free);
  if (real == nullptr) return own;
  const auto port = number_of<double>(text_of(std::string(real.get()) + "/../" + name));
  return port && *port > 0 ? std::min(own, *port) : own;
}

std::optional<Finding> link_finding(const std::string& folder, const std::string& address, const Kind& kind,
                                    bool width) {
  const std::string what = width ? "width" : "speed";
  const auto current = number_of<double>(text_of(folder + "/current_link_" + what));
  const double best = reachable(folder, "max_link_" + what);
  if (!current || *current <= 0 || best <= 0) return std::nullopt;  // virtual functions state 0
  Finding f = statement("pcie." + address + "." + what, fmt::format("PCIe {} of the {}", what, kind.name),
                        CheckVerdict::kPass, "");
  f.value = *current;
  f.threshold = best;
  f.unit = width ? "" : "GT/s";
  const auto text = [&](double value) { return width ? fmt::format("x{:g}", value) : fmt::format("{:g} GT/s", value); };
  f.reason = text(*current);
  if (*current >= best) return f;
  // A link at rest is no fault: the GPU check looks again under load.
  f.verdict = width ? CheckVerdict::kFail : CheckVerdict::kWarn;
  f.reason = fmt::format("{} {} runs at {} of {}", kind.name, address, text(*current), text(best));
  f.fix = "reseat the card; check riser, slot and the firmware's link settings";
  if (!width && kind.sleeps) {
    f.verdict = CheckVerdict::kPass;
    f.reason += " (at rest)";
    f.fix.clear();
  }
  return f;
}

}  // namespace

Findings check_pcie(const NodeContext& context) {
  Findings findings;
  const std::string devices = context.root + "/sys/bus/pci/devices";
  for (const std::string& address : machine::entries_of(devices)) {
    const std::string folder = devices + "/" + address;
    const Kind* kind = kind_of(text_of(folder + "/class"));
    if (kind == nullptr) continue;
    for (const bool width : {true, false})
      if (auto finding = link_finding(folder, address, *kind, width)) findings.push_back(std::move(*finding));
  }
  if (findings.empty())
    findings.push_back(statement("pcie", "PCIe links", CheckVerdict::kSkip,
                                 "no NIC, NVMe disk or GPU states a PCIe link here (a virtual machine?)"));
  return findings;
}

}  // namespace ff::bench
