// The commands of the hfreduce executable. Each function describes one command; the options live in an object that the
// command's run function keeps alive.
#pragma once

#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::hfreduce::cmd {

// The words of the command line after the program's name: commands that measure start themselves again as ranks.
using Arguments = std::vector<std::string>;

cli::Command run_command();
cli::Command agent_command();  // hidden: what `run --hosts` starts on the hosts
cli::Command reduce_command();
cli::Command allreduce_command();
cli::Command perf_command(const Arguments& arguments);
cli::Command tune_command(const Arguments& arguments);
cli::Command explain_command(const Arguments& arguments);
cli::Command topo_command();

// All of them.
cli::App app(const Arguments& arguments);

}  // namespace ff::hfreduce::cmd
