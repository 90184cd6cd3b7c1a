// Orders to jobs and nodes as commands of Slurm. Pure: what is to be run, or why it cannot be.
#pragma once

#include <string>
#include <vector>

#include "ffctl/proto/master.pb.h"
#include "ffctl/slurm/settings.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

using Command = std::vector<std::string>;

// kInvalidArgument: something of the request that Slurm has nothing for (a reason, a grace time).
Result<> check_order(const ControlRequest& request);
// Of one job, in order; none: it is as wanted already. kInvalidArgument: not in its phase.
// REQUIRES: check_order().
Result<std::vector<Command>> order_commands(const ControlRequest& request, const Job& job,
                                            const SlurmSettings& settings);

// Of one node. kInvalidArgument.
Result<Command> node_order(const ControlNodeRequest& request, const std::string& node);

}  // namespace ff::ctl
