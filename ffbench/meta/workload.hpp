// MetaWorkload: the phases of `ffbench meta` in one folder, by the method of mdtest (plan.hpp).
//
// Rate     Operations of all tasks / (end of the last task - begin of the first). A task that is late makes the phase
//          slower, as in mdtest.
// Safety   Everything lies in a folder of its own, made under the target; nothing else is touched. What was made is
//          removed when the object goes, whatever happened, and only that.
// Errors   name the operation and the path. A phase whose predecessor failed or was stopped fails with
//          kInvalidArgument.
// Threads  One call at a time; each makes its own threads and joins them.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "ffbench/measure/session.hpp"
#include "ffbench/meta/name_system.hpp"

namespace ff::bench {

class MetaWorkload {
 public:
  // Makes the folder under `target`. kNotFound, kPermission (read-only file systems too), kInvalidArgument.
  static Result<std::unique_ptr<MetaWorkload>> make(std::unique_ptr<NameSystem> names, const std::string& target,
                                                    const MetaOptions& options);
  MetaWorkload(const MetaWorkload&) = delete;
  MetaWorkload& operator=(const MetaWorkload&) = delete;
  ~MetaWorkload();

  // Operations of all tasks in a phase, as the tree's arithmetic has it.
  std::int64_t operations(MetaPhase phase) const noexcept { return plan_.operations(phase); }
  // values: operations a second, operations done; latencies: one operation. kCancelled after a stop.
  Result<Reading> run(MetaPhase phase, std::stop_token stop);
  // The folder that holds everything.
  const std::string& folder() const noexcept { return folder_; }

 private:
  MetaWorkload(std::unique_ptr<NameSystem> names, std::string folder, MetaPlan plan);

  std::unique_ptr<NameSystem> names_;
  std::string folder_;
  MetaPlan plan_;
  std::size_t next_ = 0;  // the phase that may run
  bool broken_ = false;   // the last phase did not finish: only a new mkdir may follow
};

}  // namespace ff::bench
