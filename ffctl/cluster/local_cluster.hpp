// A cluster on one machine under one folder: what it consists of, and the starting and ending of its daemons.
//
//   key  local.json  ffctld.{sock,pid,log}  ffctld/ (state)  nodes/nodeN/ (attempts, logs of jobs)
//   nodes/nodeN.{pid,log}  ffs/ ffs.{pid,log} (the file system: local_ffs.hpp)
//
// Threads  As daemon_process.hpp. Two at once over a folder: the second is refused (LocalLock).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffctl/cluster/daemon_process.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

inline constexpr std::uint32_t kLocalNodesMax = 256;

struct LocalPlan {
  std::string folder;  // absolute
  std::uint32_t nodes = 0;
  std::uint32_t gpus_per_node = 0;
  bool fake_gpus = false;
  std::string policy;               // of ffctld; empty: its own choice
  std::string min_run = "5s";       // of ffctld
  std::uint32_t ffs_processes = 0;  // of its file system; 0: it has none
  friend bool operator==(const LocalPlan&, const LocalPlan&) = default;
};

// The plan of a folder that holds a cluster. kNotFound: it holds none; kCorrupt.
Result<LocalPlan> load_plan(const std::string& folder);
Result<> save_plan(const LocalPlan& plan);

class LocalLock {
 public:
  // Makes the folder where `create`. kUnavailable: another process has it; kNotFound.
  static Result<LocalLock> take(const std::string& folder, bool create);

 private:
  explicit LocalLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// The file system's supervisor, ffctld, then the nodes' agents. kNotFound: a program is not installed.
Result<std::vector<DaemonCommand>> daemon_commands(const LocalPlan& plan);
// Folders, the key and the file system, where they are not there yet. What a killed one left half done is done again.
Result<> prepare(const LocalPlan& plan);
std::string node_name(std::uint32_t index);  // from 0: "node1"

}  // namespace ff::ctl
