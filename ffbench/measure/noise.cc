#include "ffbench/measure/noise.hpp"

#include <fmt/core.h>

#include "ffbench/stats/summary.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kSpreadWarningsMax = 5;  // the table shows the intervals of all

void warn_of_spread(std::span<const Row> rows, std::vector<std::string>& warnings) {
  std::size_t noisy = 0;
  for (const Row& row : rows) {
    for (const Metric& metric : row.metrics) {
      // Two rounds differ by chance.
      if (metric.samples.size() < 3) continue;
      const double spread = relative_spread(metric.samples);
      if (spread <= kSpreadMax || ++noisy > kSpreadWarningsMax) continue;
      warnings.push_back(fmt::format("{}: {}: rounds differ by {:.0f}% of the median (repeat more often or longer)",
                                     row.name, metric.name, 100 * spread));
    }
  }
  if (noisy > kSpreadWarningsMax)
    warnings.push_back(fmt::format("{} more metrics differ by over {:.0f}% between rounds", noisy - kSpreadWarningsMax,
                                   100 * kSpreadMax));
}

}  // namespace

std::vector<std::string> noise_warnings(const NoiseFacts& facts, std::span<const Row> rows) {
  std::vector<std::string> warnings;
  if (facts.load && facts.load->foreign > kForeignMax)
    warnings.push_back(fmt::format("other processes used {:.0f}% of the processors (stop them and measure again)",
                                   100 * facts.load->foreign));
  if (facts.load && facts.load->steal > kStealMax)
    warnings.push_back(
        fmt::format("the hypervisor gave {:.1f}% of the processor time to other guests (measure on a "
                    "machine of your own)",
                    100 * facts.load->steal));
  if (!facts.governor.empty() && facts.governor != "performance")
    warnings.push_back(
        fmt::format("the frequency governor is '{}' (cpupower frequency-set -g performance)", facts.governor));
  // Those that the kernel reads without leaving the processor; all others cost a microsecond or drift.
  if (!facts.clock_source.empty() && facts.clock_source != "tsc" && facts.clock_source != "arch_sys_counter")
    warnings.push_back(fmt::format("the kernel's clock is '{}', not tsc: single operations are timed less exactly",
                                   facts.clock_source));
  if (facts.frequencies_hz.size() > 1 && relative_spread(facts.frequencies_hz) > kFrequencyMax)
    warnings.push_back(fmt::format("the processors' frequency moved by {:.0f}% (fix it, or let the machine cool)",
                                   100 * relative_spread(facts.frequencies_hz)));
  warn_of_spread(rows, warnings);
  return warnings;
}

}  // namespace ff::bench
