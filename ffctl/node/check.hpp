// Runs the node validator, `ffbench node`, as a process with a deadline.
//
// Threads  Blocks for as long as it takes.
#pragma once

#include <chrono>
#include <string>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct CheckOutcome {
  int exit_code = 0;
  std::string json;  // at most 2 MiB
};

// `program`: ffbench; kNotFound when it cannot be started, kInvalidArgument for another level than "quick" or "full",
// kTimeout at the deadline (it has been killed then).
Result<CheckOutcome> run_node_check(const std::string& program, const std::string& level,
                                    std::chrono::milliseconds deadline);
// "ffbench" beside `executable` where that exists, else to be looked up in PATH.
std::string ffbench_beside(const std::string& executable);

}  // namespace ff::ctl
