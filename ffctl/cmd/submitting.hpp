// The options of `submit` and `run` that describe a job, and the description they come to.
#pragma once

#include <string>
#include <tuple>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "libcommon/cli/app.hpp"

namespace ff::ctl {

// Must outlive run().
class JobOptions {
 public:
  JobOptions() = default;
  JobOptions(const JobOptions&) = delete;
  JobOptions& operator=(const JobOptions&) = delete;

  void add_to(cli::Command& command);
  // Nothing was said of the job: no command, no option.
  bool untouched() const;
  // kInvalidArgument, naming the option.
  Result<JobSpec> spec() const;

 private:
  auto all() const {
    return std::tie(command_, name_, queue_, priority_, launcher_, workdir_, begin_, checkpoint_, preemption_, nodes_,
                    gpus_, cpus_, ranks_, budget_, retries_, pids_, memory_, environment_, labels_, require_, exclude_,
                    only_, depends_, retry_, hold_, limit_, estimate_, no_output_, no_progress_, grace_, max_grace_,
                    min_run_, backoff_);
  }
  Result<> set_run(JobSpec& spec) const;
  Result<> set_time(JobSpec& spec) const;
  Result<> set_again(JobSpec& spec) const;

  std::vector<std::string> command_;
  std::string name_, queue_ = "default", priority_ = "normal", launcher_ = "per-node", workdir_, begin_, checkpoint_;
  std::string preemption_ = "checkpoint";
  std::int64_t nodes_ = 1, gpus_ = 0, cpus_ = 0, ranks_ = 1, budget_ = 0, retries_ = 3, pids_ = 0;
  cli::ByteSize memory_{};
  std::vector<std::string> environment_, labels_, require_, exclude_, only_, depends_, retry_ = {"node-fail"};
  bool hold_ = false;
  cli::Duration limit_{0}, estimate_{0}, no_output_{0}, no_progress_{0};
  cli::Duration grace_ = std::chrono::seconds(60), max_grace_ = std::chrono::seconds(300), min_run_{0};
  cli::Duration backoff_ = std::chrono::seconds(10);
};

}  // namespace ff::ctl
