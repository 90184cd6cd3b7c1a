// What of an attempt a node starts: which ranks, with which words and environment. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/node/record.pb.h"
#include "ffctl/rank/rank.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// "17-2": job 17, attempt 2. Names folders and groups.
std::string attempt_name(std::uint64_t job, std::uint32_t attempt);

struct LaunchPaths {
  std::string page;    // folder of the shared pages; FF_CTL
  std::string script;  // of RunSpec.script; empty: there is none
};

// Who a rank runs as, as the system's database says; empty where it does not know.
struct UserFacts {
  std::string name, home, shell;
};

// Ranks of this node: at least 1.
std::uint32_t local_ranks(const DesiredAttempt& desired);
std::uint32_t first_rank(const DesiredAttempt& desired);
// Slots of the page: also for the processes that torchrun starts.
std::uint32_t page_slots(const DesiredAttempt& desired);

// kInvalidArgument: the description cannot be run (no command, a node rank beyond its nodes).
Result<> check_desired(const DesiredAttempt& desired);

// `inherited`: of the agent's environment; PATH, LANG, LC_*, TZ, LD_LIBRARY_PATH, FF_CLUSTER and
// FF_FFS_* are passed on. The job's own entries
// go over it, and what is said here (FF_*, ranks, rendezvous) over those. `token`: what ranks prove to each other.
RankStart launch_plan(const DesiredAttempt& desired, std::uint32_t local, const LaunchPaths& paths,
                      const UserFacts& user, const std::map<std::string, std::string>& inherited,
                      std::string_view token);

}  // namespace ff::ctl
