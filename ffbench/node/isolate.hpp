// Runs a check in a process of its own: one that hangs (a dead disk, a GPU that does not answer) or crashes becomes a
// failed check that is named, and the validator goes on.
//
// Method   fork; the child leads a process group, runs, writes its findings into a pipe and leaves by _exit. At the
//          deadline the whole group is killed. A child that the kernel does not let go (state D) is left to init after
//          a second, and said so.
// Limits   Findings beyond 4 MiB are refused. A child that dies with its parent: PR_SET_PDEATHSIG.
// Threads  Main's thread, with no locks held that a child needs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "ffbench/node/finding.hpp"

namespace ff::bench {

// Whose time it is that a check has: its own, in which it must answer, or what is left for all checks together.
enum class DeadlineOf : std::uint8_t { kCheck, kAll };

// Always at least one finding. `name` is the check's: a hang or crash is a finding of that id, kFail. A check that the
// time for all of them cuts off has not hung: kWarn. A requested stop ends the child at once: kSkip.
Findings run_isolated(const std::string& name, const std::string& measures, std::chrono::nanoseconds deadline,
                      const std::function<Findings()>& check, const std::stop_token& stop,
                      DeadlineOf whose = DeadlineOf::kCheck);

}  // namespace ff::bench
