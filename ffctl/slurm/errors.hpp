// What a command of Slurm said when it failed, with the code that fits. Pure.
#pragma once

#include <string>
#include <string_view>

#include "ffctl/slurm/child.hpp"
#include "libcommon/base/error.hpp"

namespace ff::ctl {

// "sbatch: Requested node configuration is not available". REQUIRES: it failed.
Error slurm_error(std::string_view program, const ChildEnd& end);

}  // namespace ff::ctl
