#include "ffbench/faults/failure_generator.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr double kFailuresMax = 2e7;
constexpr double kPaperHours = 183 * 24;

// Numbered with zeros in front, so that names sort; at least four digits.
std::string node_name(std::uint64_t node) { return fmt::format("node-{:04}", node); }

}  // namespace

FailureRates rates_of(std::span<const Failure> failures, Span span) {
  FailureRates rates;
  for (const auto& [name, count] : class_sums(failures)) rates[name] = static_cast<double>(count) / span.hours();
  return rates;
}

FailureRates paper_rates() {
  FailureRates rates{{"main_memory", 54}, {"network", 89}, {"xid_63", 120}, {"xid_64", 1},
                     {"xid_79", 15},      {"xid_94", 7},   {"xid_95", 6}};
  for (auto& [name, rate] : rates) rate /= kPaperHours;
  return rates;
}

Result<std::vector<Failure>> generate_failures(const FailureRates& rates, const GeneratorOptions& options) {
  const double hours = static_cast<double>(options.days) * 24;
  double total = 0;
  for (const auto& [name, rate] : rates) total += rate;
  if (!(total > 0)) return fail(Errc::kInvalidArgument, "generate: the table has no failures to take rates from");
  if (total * hours > kFailuresMax)
    return fail(Errc::kExhausted,
                fmt::format("generate: {:.0f} failures are expected (at most {:.0f}; ask for fewer days)",
                            total * hours, kFailuresMax));
  Rng rng(options.seed);
  std::vector<Failure> failures;
  for (const auto& [name, rate] : rates) {
    if (rate <= 0) continue;
    for (double at = -std::log(1 - rng.uniform()) / rate; at < hours; at -= std::log(1 - rng.uniform()) / rate) {
      // Whole microseconds: what a log can hold.
      const auto offset_ns = static_cast<std::int64_t>(at * 3.6e9) * 1000;
      failures.push_back({.time_ns = options.begin_ns + offset_ns,
                          .fault_class = name,
                          .node = node_name(rng.below(std::max<std::uint64_t>(1, options.nodes)))});
    }
  }
  std::ranges::sort(failures, {}, [](const Failure& failure) {
    return std::tie(failure.time_ns, failure.fault_class, failure.node);
  });
  return failures;
}

}  // namespace ff::bench
