// The command line of ffnoded.
#pragma once

namespace ff::ctl {

// Returns the exit code of the process.
int run_ffnoded(int argc, char** argv);

}  // namespace ff::ctl
