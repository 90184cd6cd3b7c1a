// import: jobs of other systems.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/exit_codes.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/job/import.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

using ImportFunction = Result<ImportedJob> (*)(std::string_view, const std::string&);

Result<int> import(const std::string& path, ImportFunction read) {
  const bool input = path == "-";
  FF_TRY_ASSIGN(const std::string text, read_file(input ? "/dev/stdin" : path, kJobFileBytesMax));
  FF_TRY_ASSIGN(const ImportedJob job, read(text, input ? "standard input" : path));
  for (const std::string& one : job.lost) fmt::print(stderr, "ffctl: {}\n", one);
  FF_TRY(print(job.text));
  return job.lost.empty() ? cli::kExitOk : kExitLost;
}

cli::Command import_of(std::string name, std::string summary, std::string description, ImportFunction read,
                       std::vector<cli::Example> examples) {
  const auto file = std::make_shared<std::string>();
  cli::Command command;
  command.name = std::move(name);
  command.summary = std::move(summary);
  command.description = std::move(description);
  command.options.push_back({.names = "file",
                             .target = file.get(),
                             .help = "what is read; -: standard input",
                             .value_name = "FILE",
                             .required = true,
                             .complete = "file"});
  command.examples = std::move(examples);
  command.exit_codes.push_back({kExitLost, "something could not be carried over; what, is on standard error"});
  command.run = [file, read] { return import(*file, read); };
  return command;
}

}  // namespace

cli::Command import_command() {
  cli::Command command;
  command.name = "import";
  command.summary = "Make job files of jobs that were written for other systems";
  command.examples = {{"ffctl import slurm train.sbatch >train.yaml", "a script of sbatch"}};
  command.commands = {
      import_of("slurm", "Make a job file of a script of sbatch",
                "The #SBATCH lines become keys. The script itself stays, with our names of variables (SLURM_PROCID is "
                "FF_RANK) and without srun at the begin of a line: ffctl starts it once for each rank, or once on each "
                "node where it does not use srun. No master is asked.",
                import_slurm,
                {{"ffctl import slurm train.sbatch >train.yaml", "then look at it"},
                 {"ffctl import slurm train.sbatch | ffctl submit -", "at once"}}),
      import_of(
          "hai", "Make a job file of a task description of HAI Platform",
          "Of version 2. Its ranks are processes of whole nodes with eight GPUs, and so are those of the job; its "
          "watchdog of 30 minutes is kept. No master is asked.",
          import_hai, {{"ffctl import hai train.yml >train.yaml", "then look at it"}})};
  return command;
}

}  // namespace ff::ctl
