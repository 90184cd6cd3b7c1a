// Slurm's jobs, asked for again and again by one `ffctl`.
#pragma once

#include <cstdint>
#include <vector>

#include "ffctl/proto/master.pb.h"
#include "ffctl/slurm/slurm_commands.hpp"

namespace ff::ctl {

class JobList {
 public:
  JobList(runtime::Env& env, SlurmCommands& commands) : env_(env), commands_(commands) {}

  // All that slurmctld knows, or those of `ids`, with what accounting knows of the others. In no order; unknown ones
  // are left out.
  runtime::Task<Result<std::vector<Job>>> get(std::vector<std::uint64_t> ids);
  // One job; may be as old as kFresh. kNotFound.
  runtime::Task<Result<Job>> look(std::uint64_t id);

 private:
  runtime::Task<Result<std::vector<Job>>> ask_queue(const std::vector<std::uint64_t>& ids);
  runtime::Task<Result<std::vector<Job>>> ask_accounting(const std::vector<std::uint64_t>& ids);

  runtime::Env& env_;
  SlurmCommands& commands_;
  Job last_;
  runtime::Time last_at_{};
};

}  // namespace ff::ctl
