// Jobs that were written for other systems, as job files. What cannot be carried over is told, nothing is guessed in
// silence. Errors: kInvalidArgument, "FILE:LINE: what". Threads: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct ImportedJob {
  std::string text;               // a job file that resolves
  std::vector<std::string> lost;  // "train.sbatch:4: --mail-user: no mail is sent"
};

// A script of sbatch. Its #SBATCH lines become keys; `srun` at the begin of a line goes away, since each rank is
// started with the script; names of variables that are known here are replaced.
Result<ImportedJob> import_slurm(std::string_view script, const std::string& file);
// A task description of HAI Platform, version 2.
Result<ImportedJob> import_hai(std::string_view yaml, const std::string& file);

// "n[001-003,7],x" -> n001 n002 n003 n7 x; at most 4096. kInvalidArgument.
Result<std::vector<std::string>> expand_hosts(std::string_view text);

}  // namespace ff::ctl
