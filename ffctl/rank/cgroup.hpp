// cgroup v2, where this process may make groups: limits for an attempt, and the sure way to find and kill all of it.
//
// Layout    BASE/ffnoded-NAME/JOB-ATTEMPT, NAME of one agent alone. BASE: where this process is, or where it was told
//           to be.
// Errors    As of the file system. Threads  any; calls are short writes into cgroupfs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct CgroupLimits {
  std::uint32_t cpus = 0;  // 0: no limit, each
  std::uint64_t memory_bytes = 0;
  std::uint32_t pids = 0;
};

class Cgroups {
 public:
  // Nothing where cgroup v2 is not mounted or groups cannot be made there. `base`: empty to take the process's own.
  // `name` becomes part of a folder's name.
  static std::optional<Cgroups> open(const std::string& name, const std::string& base = {});

  // cpu, memory and pids can all be limited.
  bool limits() const noexcept { return limits_; }
  const std::string& folder() const noexcept { return folder_; }
  // The folder of a new (or left over) group. A limit whose controller is missing is not set.
  Result<std::string> create(const std::string& name, const CgroupLimits& wanted) const;

  // Of a group's folder. kill: all processes in it at once (one by one on kernels before 5.14).
  static void kill(const std::string& group);
  // kNotFound counts as done.
  static Result<> remove(const std::string& group);
  static std::uint64_t oom_kills(const std::string& group);

 private:
  std::string folder_;
  bool limits_ = false;
};

}  // namespace ff::ctl
