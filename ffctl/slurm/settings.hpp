// Who runs the jobs: own agents, or a Slurm; and which Slurm, and how jobs are put to it.
//
// Read from --executor, FF_EXECUTOR and FF_SLURM_*, and a cluster file, which then has these keys alone:
//
//   executor: slurm
//   slurm:
//     partition: train
//     logs: /shared/logs
//     qos: {very-high: urgent}
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "ffctl/proto/job.pb.h"
#include "libcommon/base/result.hpp"
#include "libcommon/config/schema.hpp"

namespace ff::ctl {

struct SlurmSettings {
  std::string bin;        // folder of sbatch, squeue, …; empty: they are found in PATH
  std::string conf;       // SLURM_CONF; empty: the environment's, or Slurm's own place
  std::string logs;       // folder for what ranks print, the same on all nodes; absolute, printable, without % and \.
  std::string partition;  // of jobs in queue "default"; empty: Slurm's default
  std::int64_t nice_step = 1000;               // that a step of priority is worth
  config::TextMap qos;                         // priority to the quality of service that stands for it instead of nice
  std::chrono::milliseconds deadline{30'000};  // of one command
};

const config::Schema& executor_schema();

// `given`: of --executor; `file`: of --cluster; both may be empty. None: own agents. kInvalidArgument.
Result<std::optional<SlurmSettings>> executor_settings(const std::string& given, const std::string& file);

// "above-normal".
std::string priority_word(Priority priority);

}  // namespace ff::ctl
