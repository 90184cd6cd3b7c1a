// Slurm as the engine of `ffctl`: its questions become commands of Slurm (sbatch, squeue, scontrol, scancel, sinfo, and
// sacct for jobs that slurmctld has forgotten), its answers ffctl's words. See jobs.hpp and batch.hpp for the mapping.
//
// State     None but in Slurm: a job's labels and command are in its comment, its output in the folder of the settings.
// Jobs      Those of other programs are seen and steered too.
// Suspend   `scontrol requeuehold`: the job is told by SIGTERM, saves, and waits as suspended until it is resumed.
//           Slurm starts it two minutes after that at the earliest: earlier, a node could take it for what it has just
//           been told to end (credentials have times in seconds; seen on one machine with StartTime=now).
// Questions of one job that come within kFresh of each other get the same answer: `run` and `logs -f` ask often.
// Slurm does not keep reasons and grace times of orders: they are refused.
#pragma once

#include <memory>

#include "ffctl/executor/executor.hpp"
#include "ffctl/slurm/settings.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::ctl {

// Nothing is asked of Slurm yet.
std::unique_ptr<Executor> make_slurm_executor(runtime::Env& env, SlurmSettings settings);

}  // namespace ff::ctl
