// The options of `submit` that go with a job file, and the jobs they come to.
#pragma once

#include <string>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "libcommon/cli/app.hpp"

namespace ff::ctl {

// Must outlive run().
class JobFileOptions {
 public:
  JobFileOptions() = default;
  JobFileOptions(const JobFileOptions&) = delete;
  JobFileOptions& operator=(const JobFileOptions&) = delete;

  void add_to(cli::Command& command);
  bool given() const noexcept { return !file_.empty(); }
  // kInvalidArgument: one of the others without a file.
  Result<> check_alone() const;
  // YAML, or a script with #FF lines; "-" is standard input. kInvalidArgument names file and line, or the option.
  Result<std::vector<JobSpec>> jobs() const;

 private:
  std::string file_, array_;
  std::vector<std::string> set_, sweep_;
};

}  // namespace ff::ctl
