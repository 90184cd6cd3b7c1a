// A daemon that was started for a local cluster: started apart from this process, found again by a file that holds its
// number and when it began, ended and verified.
//
// Threads  The caller has one thread (start forks). Waits block.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct DaemonCommand {
  std::string name;                                              // for messages: "node2"
  std::vector<std::string> words;                                // argv; the first is a path
  std::string pid_file, log_file;                                // absolute
  std::string folder;                                            // to run in
  std::vector<std::pair<std::string, std::string>> environment;  // over ours
};

// The process that the file names, as long as it lives; another one with its number is none.
std::optional<pid_t> running(const std::string& pid_file);

// In a session of its own, its output appended to the log. It begins once its file is written: where this process is
// killed before, there is none. kIo, kNotFound: it could not be started.
Result<pid_t> start_daemon(const DaemonCommand& command);

// SIGTERM, and SIGKILL after the patience; returns when it is gone, with whether it had to be killed. A file without
// process is removed. kTimeout: it lives even so.
Result<bool> stop_daemon(const std::string& pid_file, std::chrono::milliseconds patience);

// The last lines of a log, for an error message; empty where there is none.
std::string log_tail(const std::string& log_file);

// Processes of jobs of the folder's agents: those that have FF_CTL below it in their environment, and those beside
// ranks.
std::vector<pid_t> ranks_below(const std::string& folder);

}  // namespace ff::ctl
