// supervise(): a process for each node of a cluster file, on this machine.
#pragma once

#include "ffs/cluster/cluster_file.hpp"

namespace ff::ffs {

// Until SIGTERM, SIGINT or SIGHUP, which it passes on; then waits for all (kGrace, then kills). A process that ends is
// started again after a pause that doubles up to 10 s while it keeps ending. Processes die with this one. Errors kIo: a
// process cannot be started at all.
Result<int> supervise(const ClusterFile& cluster);

}  // namespace ff::ffs
