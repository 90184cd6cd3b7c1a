// Where a local cluster (`ffctl up --local`) keeps what belongs to it.
//
//   ffctld.sock   where its master answers        key        of the cluster
//   ffctld/       the master's state and log      nodes/N/   of agent N
//   local.pb      what was started: the plan and the processes
#pragma once

#include <string>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

// `given`, else FF_LOCAL_DIR, else $XDG_STATE_HOME/fire-flyer/local, else ~/.local/state/fire-flyer/local; absolute.
// kInvalidArgument: no home either, or so long that sockets in it could not be named.
Result<std::string> local_folder(const std::string& given);

std::string local_socket(const std::string& folder);

}  // namespace ff::ctl
