// SessionSource: which clients are alive, as the manager tells.
#pragma once

#include <cstdint>
#include <set>

#include "libcommon/runtime/task.hpp"

namespace ff::ffs {

class SessionSource {
 public:
  virtual ~SessionSource() = default;
  // The clients that may still hold files open, as of a moment after the call. An error, kUnavailable, when the manager
  // cannot tell (it has just become primary: ListSessionsReply.settling): then nobody is given up.
  virtual runtime::Task<Result<std::set<std::uint64_t>>> live_clients() = 0;

 protected:
  SessionSource() = default;
};

}  // namespace ff::ffs
