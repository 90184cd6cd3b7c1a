// Runs one command as N ranks, on this machine or several, and ends when they have ended.
//
// Guarantees  - The first rank that fails ends all others (SIGTERM, the grace period, SIGKILL); its code is the result.
//             - SIGINT, SIGTERM and SIGHUP go to all ranks' process groups; after the grace period, or at a second one,
//               SIGKILL follows.
//             - No rank survives the launcher, however it dies: the agents see the end of their connection. When the
//               launcher's machine dies, agents on other machines miss its pings and follow within a minute;
//               the same happens when the launcher is suspended for that long.
//             - Lines of output are never mixed.
// Threads     Call it from a process with one thread (it forks). It takes over the signals named above while it runs.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "hfreduce/run/hosts.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::run {

struct LaunchOptions {
  std::vector<Block> blocks = {};  // what runs where; see place_ranks
  bool netns = false;              // the blocks' hosts are network namespaces (netns.hpp), one each
  bool ssh_always = false;         // also for names that mean this machine
  std::vector<std::string> ssh = {"ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15"};
  std::string remote_path = {};  // of this program on the hosts; empty: as here
  std::vector<std::string> command = {};
  std::vector<std::string> env = {};    // KEY=VALUE for all ranks
  std::string folder = {};              // working folder; empty: this one's
  std::chrono::nanoseconds timeout{0};  // of the whole run; 0: none
  std::chrono::nanoseconds grace = std::chrono::seconds(5);
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(60);
  std::string master_address = {};  // empty: chosen
  int master_port = 0;              // 0: a free port, bound beforehand; else that port, left for rank 0 to bind
  bool prefix_stdout = true, prefix_stderr = true;  // only if there is more than one rank
  std::string prefix = "[{rank}] ";                 // {rank} and {host} are replaced
  bool bind = true;                                 // StartSpec::bind
  std::string log_folder = {};                      // also write rank-R.out and rank-R.err there
};

inline constexpr int kExitTimeout = 124;

// The exit code: 0, the first failed rank's (128 + number for a signal), 127/126 when the command could not be started,
// kExitTimeout. Says on stderr, as "hfreduce run: …", what ended the run early. An Error: nothing was started, or an
// agent could not be reached.
Result<int> launch(const LaunchOptions& options);

}  // namespace ff::hfreduce::run
