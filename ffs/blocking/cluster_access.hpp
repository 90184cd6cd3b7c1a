// How a program comes to a file system: which description, with whose rights, over which network.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ffs/client/file_system.hpp"
#include "ffs/cluster/cluster_file.hpp"

namespace ff::runtime {
class RealEnv;
}

namespace ff::ffs {

// `given` (a file, or a folder that holds it as cluster.yaml) unless it is empty; else what FF_CLUSTER names, else the
// first of $XDG_CONFIG_HOME/fire-flyer/cluster.yaml, ~/.config/fire-flyer/cluster.yaml and
// /etc/fire-flyer/cluster.yaml that exists. kNotFound says where it was looked for.
Result<ClusterFile> find_cluster_file(const std::string& given);

// "DIR" or "DIR/cluster.yaml" to the file.
std::string cluster_path(const std::string& given);

// A reactor with a network that speaks as `role` and `node` with the cluster's key.
Result<std::unique_ptr<runtime::RealEnv>> make_cluster_env(const ClusterFile& cluster, const std::string& role,
                                                           std::uint64_t node);

// Of a client on this host. It acts as the user of the token in the file `token`, or where that is empty, in the file
// that FF_FFS_TOKEN_FILE names; without either, as this process's user. `what` is for the list of sessions: "ffs cp".
// Errors: UserToken::load()'s.
Result<FileSystemOptions> client_options(const ClusterFile& cluster, std::string what, runtime::Duration timeout,
                                         const std::string& token = {});

}  // namespace ff::ffs
