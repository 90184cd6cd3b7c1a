// The validator: runs checks one after the other, each in a process of its own, within a time for the whole.
// Threads  Main's thread.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/node/check.hpp"
#include "ffbench/node/node_report.hpp"

namespace ff::bench {

struct ValidatorOptions {
  std::chrono::nanoseconds timeout = std::chrono::minutes(5);  // of all checks together
  // Called before each check, for progress.
  std::function<void(const Check&)> before = {};
};

// A check that the time for all does not reach, or cuts off, is a warning: nobody knows what it would have found.
Findings run_checks(std::span<const Check> checks, const NodeContext& context, const ValidatorOptions& options,
                    const std::stop_token& stop);

// The checks of these names, in the order of `all`; all of them for none. kInvalidArgument names one that is unknown.
Result<std::vector<Check>> select_checks(const std::vector<Check>& all, const std::vector<std::string>& only,
                                         const std::vector<std::string>& without);

}  // namespace ff::bench
