#include "ffbench/cmd/ffs_options.hpp"

#include "ffs/blocking/cluster_access.hpp"

namespace ff::bench {

void FfsOptions::add_to(cli::Command& command, const std::string& when) {
  command.options.push_back(
      {.names = "--cluster",
       .target = &cluster_,
       .help = "Description of the file system, or the folder that holds it as cluster.yaml" + when,
       .value_name = "FILE",
       .environment = "FF_CLUSTER",
       .complete = "file"});
  command.options.push_back({.names = "--timeout",
                             .target = &timeout_,
                             .help = "Most that one operation may take with all its retries" + when,
                             .min = 0.1,
                             .max = 86400});
}

Result<ffs::ClusterFile> FfsOptions::load() const { return ffs::find_cluster_file(cluster_); }

}  // namespace ff::bench
