// The commands of Slurm as coroutines: each a process of its own with a deadline, found in the folder of the settings
// or in PATH. Nothing of the caller's environment reaches them but what own agents pass on to jobs (PATH, LANG, LC_*,
// TZ, LD_LIBRARY_PATH, HOME, USER, LOGNAME, SHELL), where Slurm is (SLURM_CONF) and what a site has its users set for
// it (SBATCH_ACCOUNT, SBATCH_QOS, SBATCH_RESERVATION).
#pragma once

#include <string>
#include <vector>

#include "ffctl/slurm/child.hpp"
#include "ffctl/slurm/settings.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::ctl {

class SlurmCommands {
 public:
  SlurmCommands(runtime::Env& env, const SlurmSettings& settings);

  // Whatever its exit code; one that ended by a signal is an error too. Times it prints are UTC. kUnavailable: Slurm's
  // commands are not here, or did not answer in time.
  runtime::Task<Result<ChildEnd>> run(std::vector<std::string> words, std::string input = {});
  // Its output; an exit code other than 0 is slurm_error().
  runtime::Task<Result<std::string>> output(std::vector<std::string> words, std::string input = {});
  // squeue or sinfo with `fields` of every row: the text and its separator.
  struct Rows {
    std::string text, separator;
  };
  runtime::Task<Result<Rows>> rows(std::vector<std::string> words, std::vector<std::string> fields);

 private:
  std::vector<std::string> environment(bool utc) const;

  runtime::Env& env_;
  const SlurmSettings& settings_;
};

}  // namespace ff::ctl
