// Waiting for jobs and showing what their ranks print, as `wait`, `logs`, `run` and `submit --wait` do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffctl/cmd/master_session.hpp"

namespace ff::ctl {

struct WaitWish {
  std::vector<std::uint64_t> jobs;
  std::vector<JobPhase> until;  // empty: done
  bool any = false;
  runtime::Duration within{0};  // 0: as long as it takes
};
// The jobs as they then were, in the order of the wish. kTimeout: not within the time.
runtime::Task<Result<std::vector<Job>>> wait_for_jobs(MasterSession& master, WaitWish wish);
// That of the first which did not succeed; 0 for those that are not done.
int exit_code_of(const std::vector<Job>& jobs);

struct LogWish {
  std::uint64_t job = 0;
  std::uint32_t attempt = 0;         // 0: the last one; while following, also those that come
  std::vector<std::uint32_t> ranks;  // in this order
  bool follow = false;
  std::int64_t lines = -1;  // the last ones only; -1: all
};
// To standard output; of several ranks, each line after "[RANK] ".
runtime::Task<Result<>> show_log(MasterSession& master, LogWish wish);

// "0", "0,3-5", "all". kInvalidArgument.
Result<std::vector<std::uint32_t>> parse_ranks(const std::string& text, std::uint32_t count);

}  // namespace ff::ctl
