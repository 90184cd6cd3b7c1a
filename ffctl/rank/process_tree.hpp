// The processes of this machine as /proc shows them: who descends from whom, and who carries a marker in its
// environment.
//
// Errors   Processes come and go while they are read; those that are gone, or that this user may not look at, are
//          left out.
// Threads  Pure reads; may block for milliseconds on a machine with many processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ff::ctl {

struct ProcessInfo {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';  // as ps shows it; Z: has ended
  std::uint64_t start_ticks = 0;
  std::uint64_t cpu_ticks = 0;
  std::uint64_t memory_bytes = 0;
  std::string command;  // arguments joined by blanks, or the name in brackets; at most 4 KiB
};

// All processes. Without commands unless asked for.
std::map<pid_t, ProcessInfo> processes(bool commands = false);
// Those below `root`, without it and without those that have ended.
std::vector<pid_t> descendants(const std::map<pid_t, ProcessInfo>& all, pid_t root);
// The same of this process, by the lists of children that the kernel keeps: without a look at any other process. One
// may be missed while others end: look again. Where the kernel has no such lists, as above.
std::vector<pid_t> own_descendants();
// This process has no child, also none that has ended and was not waited for. Of one that adopts the orphans below it
// (PR_SET_CHILD_SUBREAPER): nothing at all is below it.
bool childless();
// Living processes in whose environment the entry (KEY=VALUE) stands.
std::vector<pid_t> marked(std::string_view entry);
// Living processes in a cgroup.
std::vector<pid_t> members(const std::string& cgroup_folder);

struct SharedFile {
  std::string path;
  std::uint64_t inode = 0;
};
// Files of /dev/shm that the process has open or mapped.
std::vector<SharedFile> shared_files(pid_t pid);
// Some process has it mapped or open.
bool in_use(const SharedFile& file);

}  // namespace ff::ctl
