// up -f, down -f: the cluster of a file, over ssh.
#pragma once

#include <string>
#include <vector>

#include "ffctl/cmd/master_session.hpp"
#include "libcommon/report/table.hpp"

namespace ff::ctl {

struct HostsOptions {
  std::string file;
  std::vector<std::string> limit;  // names of hosts; empty: all
  runtime::Duration within{}, grace{};
  bool dry_run = false, force = false;
};

// The exit code: kExitFailed when a host failed, which was told.
Result<int> up_hosts(const HostsOptions& o, report::Format format);
Result<int> down_hosts(const HostsOptions& o);

}  // namespace ff::ctl
