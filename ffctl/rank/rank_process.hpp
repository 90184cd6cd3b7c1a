// Starts the process of a rank, as its user, without a shell.
//
// Threads  The caller has one thread (it forks).
#pragma once

#include <sys/types.h>

#include <string>

#include "ffctl/rank/rank.pb.h"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

struct RankProcess {
  pid_t pid = 0;
  // Standard output and error: one pipe keeps the order in which they were written. Not blocking.
  UniqueFd output;
};

// In a session and process group of its own; its cgroup; dead when this process is. Errors name what could not be done
// (command, workdir, user): nothing of it is left then.
Result<RankProcess> start_rank(const RankStart& start);

}  // namespace ff::ctl
