// drain, undrain and replace: targets that leave their chains while others take their places. The manager does it; the
// commands ask for it, and may wait.
#pragma once

#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::ffs {

// Of `ffs node`.
std::vector<cli::Command> node_drain_commands();
// Of `ffs target`.
std::vector<cli::Command> target_drain_commands();

}  // namespace ff::ffs
