// `ffctl sim`: a trace under several policies.
#pragma once

#include "libcommon/cli/app.hpp"

namespace ff::ctl {

cli::Command sim_command();

}  // namespace ff::ctl
