// Slurm's nodes in the words of ffctl. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffctl/proto/master.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// For sinfo -N -O.
const std::vector<std::string>& node_fields();
// One for each node, in the order of the text, without its jobs. kCorrupt.
Result<std::vector<NodeInfo>> read_nodes(std::string_view text, const std::string& separator);

}  // namespace ff::ctl
