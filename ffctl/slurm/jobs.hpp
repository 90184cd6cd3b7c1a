// Slurm's jobs in the words of ffctl: phases, results, exit codes and attempts. Pure.
//
//   Slurm                                      ffctl
//   PENDING, priority 0                        held; suspended if it ran before (`ffctl suspend` requeues and holds)
//   PENDING for a dependency or its time       depends
//   PENDING otherwise                          queued
//   CONFIGURING                                starting
//   RUNNING                                    running
//   SUSPENDED, STOPPED                         suspended (stopped processes on their nodes)
//   COMPLETING                                 stopping: nodes are being cleaned
//   COMPLETED                                  succeeded
//   FAILED, OUT_OF_MEMORY                      failed
//   CANCELLED                                  stopped, exit code 20; refused where a dependency cannot happen
//   TIMEOUT, DEADLINE                          timed-out, 24
//   NODE_FAIL, BOOT_FAIL, REVOKED              lost, 22
//   PREEMPTED                                  evicted, 21
//
// A job has an attempt for each start; what Slurm does not keep of the earlier ones is 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/proto/master.pb.h"
#include "ffctl/slurm/rows.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// For squeue -O, with TZ=UTC in its environment.
const std::vector<std::string>& job_fields();
// For sacct --format, of jobs that squeue does not know any more.
const std::vector<std::string>& ended_job_fields();

// kCorrupt.
Result<std::vector<Job>> read_jobs(std::string_view text, const std::string& separator, std::uint64_t now_ms);
Result<std::vector<Job>> read_ended_jobs(std::string_view text, const std::string& separator);

// "2026-11-24T01:26:23" in UTC; 0: there is no time ("N/A", "NONE", "Unknown").
std::uint64_t slurm_time_ms(std::string_view text);

// Whether a job is one of those that the filter asks for; `limit`s are the caller's. As the master's.
bool matches(const Job& job, const JobFilter& filter);

}  // namespace ff::ctl
