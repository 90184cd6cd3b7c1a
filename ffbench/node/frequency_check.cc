// Clocks of processors: what the kernel was told to do, what it does under load, and whether heat holds it back.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "ffbench/compute/core_clock.hpp"
#include "ffbench/node/checks.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/machine/facts.hpp"
#include "libcommon/machine/machine.hpp"

namespace ff::bench {
namespace {

constexpr double kShareOfBaseMin = 0.9;   // of the base clock, which every processor must hold under load
constexpr double kShareOfTurboMin = 0.5;  // of the highest clock, where no base is stated
constexpr auto kLoadQuick = std::chrono::milliseconds(300);
constexpr auto kLoadFull = std::chrono::seconds(5);

std::vector<int> cpus_below(const std::string& root) {
  std::vector<int> cpus;
  for (const std::string& name : machine::entries_of(root + "/sys/devices/system/cpu"))
    if (const auto cpu = machine::index_after(name, "cpu")) cpus.push_back(*cpu);
  std::ranges::sort(cpus);
  return cpus;
}

std::string cpu_folder(const std::string& root, int cpu) {
  return root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
}

std::optional<double> khz_file(const std::string& path) {
  const auto khz = machine::number_of<double>(machine::text_of(path));
  return khz && *khz > 0 ? std::optional(*khz * 1000) : std::nullopt;
}

std::uint64_t throttle_events(const std::string& root) {
  std::uint64_t events = 0;
  for (const int cpu : cpus_below(root))
    for (const char* name : {"core_throttle_count", "package_throttle_count"})
      events += machine::number_of<std::uint64_t>(machine::text_of(cpu_folder(root, cpu) + "/thermal_throttle/" + name))
                    .value_or(0);
  return events;
}

// The lowest clock of a processor, as dependent operations show it, with all processors busy.
double clock_under_load(std::chrono::nanoseconds duration) {
  const int threads = machine::allowed_cores();
  std::vector<double> clocks(static_cast<std::size_t>(threads));
  {
    std::vector<std::jthread> team;
    const auto end = std::chrono::steady_clock::now() + duration;
    for (double& clock : clocks)
      team.emplace_back([&clock, end] {
        std::vector<double> samples;
        while (std::chrono::steady_clock::now() < end) samples.push_back(measured_hz());
        // Interrupted samples are too low, never too high: the upper quartile is what the processor does.
        clock = samples.empty() ? 0 : quantile(samples, 0.75);
      });
  }
  return *std::ranges::min_element(clocks);
}

Finding governor_finding(const std::string& root) {
  std::set<std::string> governors;
  for (const int cpu : cpus_below(root))
    governors.insert(machine::text_of(cpu_folder(root, cpu) + "/cpufreq/scaling_governor"));
  governors.erase("");
  const std::string measures = "cpufreq governor";
  if (governors.empty())
    return statement("frequency.governor", measures, CheckVerdict::kSkip,
                     "the kernel shows no cpufreq (a virtual machine, or the firmware decides)");
  std::string names;
  for (const std::string& name : governors) names += (names.empty() ? "" : ", ") + name;
  const bool performance = governors == std::set<std::string>{"performance"};
  return statement("frequency.governor", measures, performance ? CheckVerdict::kPass : CheckVerdict::kWarn, names,
                   performance ? "" : "set it to performance: cpupower frequency-set -g performance");
}

// Where the firmware or somebody has capped the clock below what the processor can do.
std::optional<Finding> cap_finding(const std::string& root) {
  double lowest = 1;
  bool known = false;
  for (const int cpu : cpus_below(root)) {
    const auto can = khz_file(cpu_folder(root, cpu) + "/cpufreq/cpuinfo_max_freq");
    const auto may = khz_file(cpu_folder(root, cpu) + "/cpufreq/scaling_max_freq");
    if (!can || !may) continue;
    known = true;
    lowest = std::min(lowest, *may / *can);
  }
  if (!known) return std::nullopt;
  Finding f = statement("frequency.cap", "highest clock allowed / highest clock", CheckVerdict::kPass,
                        fmt::format("{:.0f}% of the highest clock is allowed", 100 * lowest));
  f.value = lowest;
  f.unit = "ratio";
  f.threshold = 0.95;
  if (lowest < 0.95) {
    f.verdict = CheckVerdict::kWarn;
    f.fix = "raise scaling_max_freq: cpupower frequency-set -u MAX";
  }
  return f;
}

Finding load_finding(const NodeContext& context) {
  const std::string measures = "lowest clock of a processor with all of them busy";
  Finding f = statement("frequency.load", measures, CheckVerdict::kPass, "");
  f.unit = "1/s";
  f.better = Better::kHigher;
  const auto base = khz_file(cpu_folder(context.root, 0) + "/cpufreq/base_frequency");
  const auto turbo = khz_file(cpu_folder(context.root, 0) + "/cpufreq/cpuinfo_max_freq");
  if (base) f.threshold = *base * kShareOfBaseMin;
  if (!base && turbo) f.threshold = *turbo * kShareOfTurboMin;
  if (context.is_this_machine()) {
    f.value = clock_under_load(context.full() ? kLoadFull : kLoadQuick);
  } else {
    f.value = khz_file(cpu_folder(context.root, 0) + "/cpufreq/scaling_cur_freq");
  }
  if (!f.value) return statement(f.id, measures, CheckVerdict::kSkip, "the kernel states no clock");
  f.reason = fmt::format("{:.2f} GHz", *f.value / 1e9);
  if (f.threshold && *f.value < *f.threshold) {
    f.verdict = CheckVerdict::kFail;
    f.reason += fmt::format(", below {:.2f} GHz", *f.threshold / 1e9);
    f.fix = "look at cooling, power supply and the firmware's power limits";
  }
  return f;
}

Finding throttle_finding(std::uint64_t before, std::uint64_t after) {
  Finding f = statement("frequency.throttle", "thermal throttling since the boot", CheckVerdict::kPass,
                        fmt::format("{} events since the boot, {} during this check", after, after - before));
  f.value = static_cast<double>(after);
  f.threshold = 0;
  if (after > 0) f.verdict = after > before ? CheckVerdict::kFail : CheckVerdict::kWarn;
  if (after > 0) f.fix = "look at fans, filters and the inlet temperature";
  return f;
}

}  // namespace

Findings check_frequency(const NodeContext& context) {
  Findings findings{governor_finding(context.root)};
  if (auto cap = cap_finding(context.root)) findings.push_back(std::move(*cap));
  const std::uint64_t before = throttle_events(context.root);
  findings.push_back(load_finding(context));
  const std::uint64_t after = throttle_events(context.root);
  if (!machine::entries_of(cpu_folder(context.root, 0) + "/thermal_throttle").empty())
    findings.push_back(throttle_finding(before, after));
  return findings;
}

}  // namespace ff::bench
