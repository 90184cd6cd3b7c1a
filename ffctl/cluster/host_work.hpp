// What one host of a cluster does when it is brought up or down: told by `ffctl up -f` through ssh, done by `ffctl
// host`.
//
//   FOLDER/key  lock  {ffctld,ffnoded}.{pid,log}  ffctld.sock  ffctld/ (state)  node/ (attempts, logs of jobs)
//
// Errors   kInvalidArgument, kCorrupt: the text is no work. Threads  As daemon_process.hpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffctl/cluster/cluster_file.hpp"
#include "ffctl/cluster/daemon_process.hpp"

namespace ff::ctl {

enum class HostVerb : std::uint8_t { kUp, kDown };

struct HostWork {
  HostVerb verb = HostVerb::kUp;
  bool force = false;       // of kDown: kill ranks that are left
  std::string folder, key;  // the key's file, as text; of kUp
  std::vector<DaemonCommand> daemons;
};

struct HostDaemon {
  std::string name, state;  // "started", "runs", "stopped", "killed"
  std::int64_t pid = 0;
};

HostWork host_work(const ClusterPlan& plan, const ClusterHost& host, HostVerb verb, std::string key);

std::string host_work_text(const HostWork& work);
Result<HostWork> parse_host_work(std::string_view text);

// Does it on this machine, and may be repeated. kUnavailable: ranks are left, or another one is at it.
Result<std::vector<HostDaemon>> do_host_work(const HostWork& work);

std::string host_reply_text(const std::vector<HostDaemon>& daemons);
Result<std::vector<HostDaemon>> parse_host_reply(std::string_view text);

// What brings the work to the host: ssh, which asks nothing.
std::vector<std::string> ssh_words(const ClusterPlan& plan, const ClusterHost& host);

}  // namespace ff::ctl
