// The file system of a local cluster (FFS): made once below the cluster's folder, served by one supervised daemon.
//
//   ffs/cluster.yaml  ffs/cluster.key  ffs/{mgmtd,metad,node-N}/ (data)  ffs/formatted  ffs.{pid,log}
//
// Small   Of at most three processes and as many copies; files are sparse, and grow with what is stored.
// Threads As daemon_process.hpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "ffctl/cluster/daemon_process.hpp"

namespace ff::ctl {

inline constexpr std::uint32_t kLocalFfsProcessesMax = 3;

// What jobs are given as FF_CLUSTER.
std::string local_ffs_folder(const std::string& folder);

// The supervisor of its processes; also where nothing is formatted yet. kNotFound: `ffs` is not installed.
Result<DaemonCommand> local_ffs_command(const std::string& folder);

// Formats where that was not done to its end before: what is half done was never served, and is made again.
Result<> prepare_local_ffs(const std::string& folder, std::uint32_t processes);

// What `ffs status` says of a file system: "healthy", or what is wrong. Errors: it does not answer within the patience.
Result<std::string> ffs_state(const std::string& description, std::chrono::milliseconds patience);

}  // namespace ff::ctl
