// NameSystem: whoever carries out the steps of a MetaPlan: a mounted file system by system calls, or another one by its
// own library.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "ffbench/meta/plan.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/metrics/histogram.hpp"

namespace ff::bench {

// What one task did in one phase.
struct TaskPart {
  TaskPart();
  // An operation has ended, which began when the one before it ended, or at `begin`.
  void note_step();

  metrics::Histogram latency;        // ns of each operation
  std::uint64_t begin = 0, end = 0;  // ticks (measure/clock.hpp)
  Result<> outcome;                  // kCancelled: stopped, or another task failed

 private:
  std::uint64_t last_ = 0;
};

class NameSystem {
 public:
  virtual ~NameSystem() = default;
  NameSystem(const NameSystem&) = delete;
  NameSystem& operator=(const NameSystem&) = delete;

  // A folder with a name of its own under `parent`; its path. kNotFound, kPermission, ...
  virtual Result<std::string> make_own_folder(const std::string& parent) = 0;
  virtual Result<> make_folder(const std::string& path) = 0;
  // With all that is in it. What cannot be removed stays; a system that may not answer says so on standard error.
  virtual void remove_tree(const std::string& path) noexcept = 0;
  // All tasks of the plan in one phase, begun together: a part for each, in order. A failure of one stops the others.
  // Errors: not all tasks could be begun; then none was.
  virtual Result<std::vector<TaskPart>> run(const MetaPlan& plan, MetaPhase phase, std::stop_token stop) = 0;

 protected:
  NameSystem() = default;
};

// System calls below any mount point; a thread for each task.
std::unique_ptr<NameSystem> local_names();

}  // namespace ff::bench
