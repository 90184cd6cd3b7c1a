// The chains that a cluster file stands for: which targets replicate for each other. A pure function of the file, so
// every machine that has the file comes to the same plan.
#pragma once

#include <vector>

#include "ffs/cluster/cluster_file.hpp"
#include "ffs/mgmt/mgmt.pb.h"
#include "libcommon/report/table.hpp"

namespace ff::ffs {

struct ChainPlan {
  std::vector<std::vector<TargetId>> chains;  // chain i + 1
  double quality = 1;  // most reads that fall to a surviving folder when one fails, over the mean
};

// kInvalidArgument: too few nodes for the copies wanted.
Result<ChainPlan> plan_chains(const ClusterFile& cluster);
InstallChainsRequest install_request(const ClusterFile& cluster, const ChainPlan& plan);
report::Table plan_table(const ClusterFile& cluster, const ChainPlan& plan);

}  // namespace ff::ffs
