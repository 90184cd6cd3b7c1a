// Sizes of the data caches that a set of processors uses, as the kernel tells them in sysfs.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace ff::bench {

struct Caches {
  std::uint64_t l1 = 0;              // of one processor; 0 where the kernel does not tell
  std::uint64_t l2 = 0;              // of one processor
  std::uint64_t last_level = 0;      // one of them
  std::uint64_t last_level_sum = 0;  // of all different ones that these processors use
  bool known = false;                // false: the last level is a guess of 32 MiB
};

// `root` is "/" but in tests.
Caches read_caches(std::span<const int> cpus, const std::string& root = "/");

}  // namespace ff::bench
