#include "ffctl/cmd/exit_codes.hpp"

#include "ffctl/job/phases.hpp"

namespace ff::ctl {

int exit_code_of(const Error& error) noexcept {
  switch (error.code()) {
    case Errc::kInvalidArgument: return cli::kExitUsage;
    case Errc::kNotFound: return kExitNotFound;
    case Errc::kPermission:
    case Errc::kExhausted: return kExitDenied;
    case Errc::kUnavailable:
    case Errc::kTimeout: return kExitNoMaster;
    case Errc::kUnsupported: return kExitNeverSchedulable;
    default: return cli::kExitFailed;
  }
}

std::vector<cli::ExitCode> master_exit_codes() {
  return {{kExitNotFound, "no such job, node or file"},
          {kExitDenied, "denied, or over a quota"},
          {kExitNoMaster, "no master, or no agent, answered in time"},
          {130, "stopped by Ctrl-C (143: by SIGTERM)"}};
}

std::vector<cli::ExitCode> job_exit_codes() {
  return {{kExitWaitTimeout, "the jobs were not there in the time given"},
          {kStoppedCode, "the job was stopped by a user"},
          {kEvictedCode, "the job was preempted more often than it may be"},
          {kLostCode, "its nodes failed more often than it may be retried"},
          {kWatchdogCode, "its watchdog ended it"},
          {kTimedOutCode, "its time limit ended it"},
          {125, "other codes up to 127: the job's first rank that failed returned it; 128 + N: signal N killed it"}};
}

}  // namespace ff::ctl
