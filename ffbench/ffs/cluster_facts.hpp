// What a result says about the file system it was taken on, and what lies under the paths that a run is given.
//
// Errors   kUnavailable and kTimeout name the managers when nobody answers within the timeout.
// Threads  ask_cluster() makes a reactor of its own on the caller's thread; the rest is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/result/document.hpp"
#include "ffs/client/file_system.hpp"
#include "ffs/cluster/cluster_file.hpp"

namespace ff::bench {

// A path and what is there.
struct FfsPath {
  std::string path;  // as given
  bool exists = false;
  bool folder = false;
  std::uint64_t bytes = 0;
};

struct ClusterFacts {
  std::string cluster;  // 32 hexadecimal digits
  std::size_t nodes = 0, nodes_alive = 0;
  std::size_t storage_nodes = 0;  // alive
  std::size_t chains = 0;
  std::size_t replicas_least = 0, replicas_most = 0;  // that serve, of one chain
  std::size_t replicas_meant = 0;                     // members of the longest chain
};

struct ClusterAnswer {
  ClusterFacts facts;
  std::vector<FfsPath> paths;  // as asked
};

// Connects, asks, disconnects. kInvalidArgument: a path that is neither a file nor a folder.
Result<ClusterAnswer> ask_cluster(const ffs::ClusterFile& cluster, std::vector<std::string> paths,
                                  runtime::Duration timeout, std::stop_token stop);

ClusterFacts facts_of(const ffs::RoutingView& view);
// Of the folder or file that a run works on: chunk size and stripe of what is made there; nothing: not known.
struct LayoutFacts {
  std::uint32_t chunk_bytes = 0, stripe = 0;
};
std::optional<LayoutFacts> layout_facts(const ffs::Attributes& attributes);

// Adds the group "ffs" to the document's machine, and a warning when chains miss replicas.
void note_cluster(Document& document, const ClusterFacts& facts, const std::optional<LayoutFacts>& layout);

}  // namespace ff::bench
