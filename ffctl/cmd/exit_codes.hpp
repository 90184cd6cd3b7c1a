// The exit codes of ffctl: one table for --help, the man page and the code.
#pragma once

#include <vector>

#include "libcommon/base/error.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::ctl {

inline constexpr int kExitNotFound = 3;
inline constexpr int kExitDenied = 4;  // or over a quota
inline constexpr int kExitNoMaster = 5;
inline constexpr int kExitWrongPhase = 6;
inline constexpr int kExitWaitTimeout = 7;
inline constexpr int kExitNeverSchedulable = 8;
inline constexpr int kExitLost = 9;  // of import

// Of what a master answered, or of not reaching one.
int exit_code_of(const Error& error) noexcept;

// What every command that asks a master can end with, beyond 0, 1 and 2.
std::vector<cli::ExitCode> master_exit_codes();
// What a command ends with that ends as a job did.
std::vector<cli::ExitCode> job_exit_codes();

}  // namespace ff::ctl
