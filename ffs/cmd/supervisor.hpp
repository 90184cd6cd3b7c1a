// supervise(): a process for each node of a cluster file, on this machine.
#pragma once

#include "ffs/cluster/cluster_file.hpp"

namespace ff::ffs {

// Until SIGTERM, SIGINT or SIGHUP, which it passes on as SIGTERM; then waits for all for 15 s, or until SIGTERM or
// SIGINT comes again, and kills what is left. A process that ends, or cannot be started, is started again after a pause
// that doubles up to 10 s while it keeps ending. Processes die with this one. Errors kIo: not even the first can be
// started.
Result<int> supervise(const ClusterFile& cluster);

}  // namespace ff::ffs
