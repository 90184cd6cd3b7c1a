#include "ffbench/node/validator.hpp"

#include <algorithm>

#include "ffbench/node/isolate.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::bench {

Findings run_checks(std::span<const Check> checks, const NodeContext& context, const ValidatorOptions& options,
                    const std::stop_token& stop) {
  const Deadline end = Deadline::after(options.timeout);
  Findings all;
  for (const Check& check : checks) {
    if (stop.stop_requested()) {
      all.push_back(statement(check.name, check.what, CheckVerdict::kSkip, "stopped before it began", "run it again"));
      continue;
    }
    if (end.expired()) {
      all.push_back(statement(check.name, check.what, CheckVerdict::kWarn,
                              "not checked: the time for all checks was up",
                              "give more --timeout, or look for the check that took it"));
      continue;
    }
    if (options.before) options.before(check);
    const auto own = context.full() ? check.deadline_full : check.deadline_quick;
    const auto left = end.remaining();
    const auto findings = run_isolated(
        check.name, check.what, std::min<std::chrono::nanoseconds>(own, left), [&] { return check.run(context); }, stop,
        left < own ? DeadlineOf::kAll : DeadlineOf::kCheck);
    all.insert(all.end(), findings.begin(), findings.end());
  }
  return all;
}

Result<std::vector<Check>> select_checks(const std::vector<Check>& all, const std::vector<std::string>& only,
                                         const std::vector<std::string>& without) {
  for (const auto* names : {&only, &without})
    for (const std::string& name : *names)
      if (std::ranges::find(all, name, &Check::name) == all.end())
        return fail(Errc::kInvalidArgument,
                    "check '" + name + "': there is none of this name (see ffbench node --list)");
  std::vector<Check> chosen;
  for (const Check& check : all)
    if ((only.empty() || std::ranges::find(only, check.name) != only.end()) &&
        std::ranges::find(without, check.name) == without.end())
      chosen.push_back(check);
  return chosen;
}

}  // namespace ff::bench
