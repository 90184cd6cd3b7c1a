// Commands that need ranks start them themselves when no launcher has.
#pragma once

#include <chrono>

#include "hfreduce/cmd/commands.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::cmd {

// Whether this process is a rank: a launcher (hfreduce run, torchrun, a job) has set RANK and WORLD_SIZE.
bool under_launcher();

// Ranks by default: one a core, at least two (one measures nothing), at most eight.
int default_ranks();

// Starts this executable with the same arguments as `ranks` ranks on this machine; the exit code of the run.
Result<int> self_launch(const Arguments& arguments, int ranks);

// kInvalidArgument when a launcher started another number of ranks than `ranks` (0: any) asks for.
Result<> check_ranks(int ranks);

}  // namespace ff::hfreduce::cmd
