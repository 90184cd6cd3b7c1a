// The transaction of the KV benchmarks, shaped as 'create file': two keys are checked (the parent exists, the name is
// free), three are put (directory entry, inode, the parent's times). Keys of about 50 bytes, values of 120.
//
// Each client creates in a directory of its own, so that no two transactions conflict: what is measured is the engine,
// not a workload's contention. Peers and ours use these same keys.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>

namespace ff::bench {

struct CreateShape {
  std::string parent;  // must exist; written once, by the setup
  std::string entry;   // must not exist; put
  std::string inode;   // put
  std::string times;   // put, blindly: the same key for all creates of a client

  static std::string parent_of(std::uint64_t run, std::int64_t client) {
    return fmt::format("/bench/{:016x}/inode/directory/{:016x}", run, client);
  }
  // `run` differs from run to run on one store.
  CreateShape(std::uint64_t run, std::int64_t client, std::uint64_t sequence)
      : parent(parent_of(run, client)),
        entry(fmt::format("/bench/{:016x}/entry/{:08x}/file-{:010}", run, client, sequence)),
        inode(fmt::format("/bench/{:016x}/inode/{:08x}/{:016x}", run, client, sequence)),
        times(fmt::format("/bench/{:016x}/times/{:016x}", run, client)) {}
};

// 120 bytes that do not compress: compression is no part of what is compared.
inline std::string create_value(std::uint64_t seed) {
  std::string value(120, '\0');
  for (char& c : value) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    c = static_cast<char>(seed >> 56);
  }
  return value;
}

}  // namespace ff::bench
