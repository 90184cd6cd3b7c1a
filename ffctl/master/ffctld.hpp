// The program ffctld: its command line, and one process of it.
#pragma once

#include "libcommon/cli/app.hpp"

namespace ff::ctl {

cli::App ffctld_app();

}  // namespace ff::ctl
