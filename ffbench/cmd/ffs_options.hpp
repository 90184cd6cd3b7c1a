// The options of commands that work on a file system of Fire-Flyer without a mount, as ffs(1) has them.
#pragma once

#include <string>

#include "ffs/cluster/cluster_file.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::bench {

// --cluster and --timeout; must outlive run().
class FfsOptions {
 public:
  FfsOptions() = default;
  FfsOptions(const FfsOptions&) = delete;
  FfsOptions& operator=(const FfsOptions&) = delete;
  // `when` ends the help of both: " (ffs: paths only)".
  void add_to(cli::Command& command, const std::string& when = {});
  // What --cluster or FF_CLUSTER names, else the user's or the machine's.
  Result<ffs::ClusterFile> load() const;
  cli::Duration timeout() const noexcept { return timeout_; }

 private:
  std::string cluster_;
  cli::Duration timeout_ = std::chrono::seconds(30);
};

}  // namespace ff::bench
