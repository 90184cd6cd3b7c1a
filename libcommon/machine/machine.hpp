// What this machine is, as far as those who measure on it care: read from /sys and /proc under a root that tests
// replace. Facts that cannot be read are absent; nothing here fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ff::machine {

struct NumaNode {
  int id = 0;
  std::string cpus;  // "0-7,16-23"
  std::uint64_t memory_bytes = 0;
};

struct Cache {
  int level = 0;
  std::string type;  // "Data", "Unified"
  std::uint64_t bytes = 0;
  int instances = 0;  // how many of them the machine has
  int cpus_sharing_one = 0;
};

struct Nic {
  std::string name;
  std::string state;                             // "up", "down", "unknown"
  std::optional<std::uint64_t> bits_per_second;  // as the driver says it
  std::optional<int> numa_node;
  std::uint64_t mtu_bytes = 0;
  std::string driver = {};  // empty for a virtual one
};

struct Machine {
  std::string host;
  std::string cpu_model;
  std::string kernel;
  int sockets = 0;
  int cores_online = 0;   // logical
  int cores_allowed = 0;  // to this process; 0 where a fake root is read
  std::uint64_t memory_bytes = 0;
  std::vector<NumaNode> nodes;
  std::vector<Cache> caches;
  std::vector<Nic> nics;
  std::optional<int> yama_ptrace_scope;  // above 0: cross-memory copies need the peer's leave
  std::string thp;                       // transparent huge pages: "always", "madvise", "never"
  std::string thp_shmem;                 // the same for shared memory
  std::string tcp_congestion_control;
};

// `root` is "" for the machine itself, or a folder that holds sys/ and proc/.
Machine read_machine(const std::string& root);

// Logical cores that this process may use, at least 1.
int allowed_cores();

// Numbers in a kernel list: "0-2,5" has 4. 0 for text of another form.
int count_in_list(const std::string& list);

}  // namespace ff::machine
