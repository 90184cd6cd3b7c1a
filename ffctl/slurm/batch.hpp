// A job's description as sbatch takes it: words, and a script for bash. Pure.
//
// The script of a job with one rank becomes that rank; with more it becomes srun, which starts them. Each rank has the
// environment that own agents give it (FF_*, RANK, WORLD_SIZE, MASTER_ADDR, …), but
//   FF_CTL, FF_RESUME_STEP   are not set: there is no agent that could fence steps. A program is told to leave by
//                            SIGTERM, KillWait of slurm.conf before it is killed (requeue, suspend, stop, time limit).
// Output goes to LOGS/JOB-ATTEMPT.RANK.log, what Slurm says of the start to LOGS/JOB.out.
//
// Carried     name, queue (partition), priority (nice, or a quality of service), nodes, GPUs (gres), CPUs, memory,
//             required labels (features), excluded nodes, command, script, folder, environment, launcher, ranks, time
//             limit (in whole minutes, upwards), begin, dependencies, hold, labels, checkpoint, arrays (a job each; a
//             limit as lanes of jobs that wait for one another), retries after lost nodes and exit code 75 (as often
//             as it comes, with Slurm's own pause).
// Not carried Each is an error that names the key, unless it has its default: see check_carried().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "ffctl/slurm/settings.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct BatchPlan {
  std::vector<std::string> words;  // options of sbatch, without its name
  std::string script;              // its standard input
};

struct BatchFacts {
  std::uint64_t now_ms = 0;
  std::string script_file;      // where RunSpec.script was written; empty: there is none
  std::uint64_t after_any = 0;  // a job that must have ended before, for the limit of an array; 0: none
};

// kInvalidArgument: the description is wrong, or says what Slurm has nothing for.
Result<> check_carried(const JobSpec& spec);
// REQUIRES: check_carried().
Result<BatchPlan> batch_plan(const JobSpec& spec, const SlurmSettings& settings, const BatchFacts& facts);

// LOGS/17-2.0.log
std::string rank_log(const SlurmSettings& settings, std::uint64_t job, std::uint32_t attempt, std::uint32_t rank);
// LOGS/17-2.failed: rank and exit code of the first that failed, of jobs with several ranks.
std::string failed_file(const SlurmSettings& settings, std::uint64_t job, std::uint32_t attempt);
// LOGS/17.out
std::string start_log(const SlurmSettings& settings, std::uint64_t job);

}  // namespace ff::ctl
