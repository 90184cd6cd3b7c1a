// Check: one check of the node validator, and what all of them are given.
//
// Adding one  Write `Findings check_NAME(const NodeContext&)`, declare it in checks.hpp and put it into all_checks().
// Isolation   Each runs in a process of its own (isolate.hpp), so it may hang or crash; it must not leave processes
//             behind in another process group.
// Errors      A check returns findings, also of what went wrong in it; kSkip with a plain reason where it cannot run.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/compute/gemm.hpp"
#include "ffbench/compute/memory_test.hpp"
#include "ffbench/node/finding.hpp"
#include "ffbench/storage/probe.hpp"

namespace ff::bench {

enum class Level : std::uint8_t { kQuick, kFull };

// What measures storage; tests put a slow or a lying disk here.
using StorageProbeFunction = std::function<Result<StorageProbe>(
    const std::string& folder, std::uint64_t bytes, std::chrono::nanoseconds duration, std::stop_token stop)>;

struct NodeContext {
  std::string root = {};  // holds sys/, proc/, dev/; "" for the machine itself
  Level level = Level::kQuick;
  std::string folder = {};         // the storage to test
  std::string gpu_libraries = {};  // folder of the vendor's libraries; empty: where the loader finds them
  std::string hfreduce = {};       // the executable; empty: beside this one
  std::optional<double> link_bits_per_second = {};               // every link that is up must have this
  std::chrono::nanoseconds log_window = std::chrono::hours(24);  // of the kernel's log
  std::optional<std::uint64_t> memory_bytes = {};                // to test; otherwise by level
  std::optional<GemmInjection> inject_gemm = {};
  std::optional<InjectedFault> inject_memory = {};
  StorageProbeFunction probe_storage = {};
  // Bytes free in a folder; empty: as the kernel says. Tests put a full disk here.
  std::function<Result<std::uint64_t>(const std::string& folder)> free_space = {};

  bool full() const noexcept { return level == Level::kFull; }
  bool is_this_machine() const noexcept { return root.empty(); }
};

struct Check {
  std::string name;
  std::string what;
  std::chrono::nanoseconds deadline_quick;
  std::chrono::nanoseconds deadline_full;
  std::function<Findings(const NodeContext&)> run;
};

}  // namespace ff::bench
