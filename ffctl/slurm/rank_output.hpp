// What ranks print under Slurm: files in the folder of the settings, read where `ffctl` runs.
//
// Blocks in the file system: over a reactor, in Env::offload().
#pragma once

#include <cstdint>
#include <string>

#include "ffctl/proto/agent.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

// Without `complete`. kNotFound: there is no such file (yet).
Result<ReadLogReply> read_output(const std::string& path, const ReadLogRequest& request);
// The folder for it, made where it is not there; readable by its owner alone. kIo, kPermission.
Result<> make_output_folder(const std::string& path);
// A script of a job, executable, in a file of its own in `folder`: its path.
Result<std::string> write_script(const std::string& folder, std::uint64_t random, const std::string& text);

}  // namespace ff::ctl
