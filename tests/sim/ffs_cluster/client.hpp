// The clients of the cluster's simulation: each works through libffs on files that all share and on names of its own,
// and writes down what it was told. What a client knows outlives its process: one that is killed goes on where it was,
// with its last operation of unknown outcome.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/ffs_cluster/file_history.hpp"
#include "tests/sim/ffs_cluster/own_names.hpp"

namespace ff::ffs {
class FileSystem;
struct ClusterFile;
}  // namespace ff::ffs

namespace ff::sim {

inline constexpr std::uint64_t kFileCells = 48;    // three chunks
inline constexpr std::uint64_t kSharedFiles = 2;   // "/data/0", ...
inline constexpr std::uint64_t kSmallFile = 1000;  // "/data/small": lives in its inode
inline constexpr std::size_t kSmallBytes = 3072;
inline constexpr std::uint64_t kSharedNames = 2;  // "/shared/0", ...

struct Workload {
  Workload(testing::SimWorld& world, std::size_t clients, std::size_t operations);

  FileHistory history;
  std::vector<OwnNames> names;                   // of each client
  std::vector<std::size_t> left;                 // operations of each client
  std::map<std::string, std::uint64_t> refused;  // errors that clients were told, by code
  std::uint32_t next_mode = 0;                   // by which a file is known again
  runtime::Duration spread{1};                   // most that a client waits before an operation
  bool done() const;
};

// Makes folders and shared files, with every cell written.
runtime::Task<Result<>> prepare_files(testing::SimEnv& env, const ffs::ClusterFile& cluster, Workload& work);
// Client `index` works until nothing is left, and returns.
runtime::Task<Result<>> run_client(testing::SimEnv& env, const ffs::ClusterFile& cluster, Workload& work,
                                   std::size_t index);
// After everything: reads all there is, once.
runtime::Task<Result<>> look_at_all(testing::SimEnv& env, const ffs::ClusterFile& cluster, Workload& work);

}  // namespace ff::sim
