// Runs a program to its end and returns what it printed. For tools of this tree that ffbench measures with.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

struct ChildOutput {
  std::string out;
  std::string errors;  // the last 4 KiB of standard error
  int exit_code = 0;   // 128 + n: killed by signal n
};

// command[0] is a path or is looked up in PATH. The child is in a process group of its own, which gets SIGTERM, and two
// seconds later SIGKILL, at the deadline and on a stop; it dies with the calling thread, too.
// kNotFound, kPermission: the command; kTimeout, kCancelled; kExhausted: it printed more than 64 MiB.
// A child that fails or is killed is no error here: see exit_code.
Result<ChildOutput> run_child(const std::vector<std::string>& command, std::chrono::nanoseconds timeout,
                              const std::stop_token& stop);

}  // namespace ff::bench
