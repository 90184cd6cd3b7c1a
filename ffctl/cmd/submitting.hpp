// The options of `submit` and `run` that describe jobs, a job file with them, and the descriptions they come to.
#pragma once

#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "ffctl/job/options.hpp"
#include "ffctl/proto/job.pb.h"
#include "libcommon/cli/app.hpp"

namespace ff::ctl {

// Must outlive run().
class JobOptions {
 public:
  JobOptions() = default;
  JobOptions(const JobOptions&) = delete;
  JobOptions& operator=(const JobOptions&) = delete;

  // FILE, --set, the command after --, and the options of job/options.hpp; those that make several jobs of one where
  // `several` says so.
  void add_to(cli::Command& command, bool several);
  // Options stand over --set, and that over the file. Asks nobody. kInvalidArgument names file and line, or the option.
  Result<std::vector<JobSpec>> jobs() const;

 private:
  struct Slot {
    const JobOption* option;
    std::variant<bool, std::int64_t, std::string, cli::ByteSize, cli::Duration, std::vector<std::string>> value;
    bool given = false;
  };
  Result<> set_command(config::Config& values, bool script) const;
  static Result<> set_option(config::Config& values, const Slot& slot);

  std::string file_;
  std::vector<std::string> set_, command_;
  std::deque<Slot> slots_;  // pointers into them are in the command
};

}  // namespace ff::ctl
