// NameLookups: the system's resolver for tasks that have a deadline. A look-up that has begun cannot be taken back, and
// lasts for as long as the resolver likes (often 10 s and more when a name server is gone): it runs as a task of its
// own, and its asker may leave.
//
// Bound    Two look-ups at a time, so that a dead name server leaves most threads of the offload pool to others. Askers
//          wait in line; one that leaves it costs nothing.
// Threads  Those of the RealEnv.
#pragma once

#include <memory>
#include <vector>

#include "libcommon/net/address.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::net {

class NameLookups {
 public:
  // `scope` owns the look-ups: joining it waits for those that have begun. REQUIRES: it outlives the askers.
  explicit NameLookups(runtime::Scope& scope) noexcept : scope_(scope) {}

  // As net::resolve() for connecting; numeric addresses and Unix sockets do not wait. Also the error of the asker's
  // context, and kExhausted when the offload pool's line is full.
  runtime::Task<Result<std::vector<SocketAddress>>> resolve(Address address);

 private:
  struct LookUp;
  static runtime::Task<void> run(std::shared_ptr<LookUp> look_up, runtime::Semaphore::Permit permit);

  runtime::Scope& scope_;
  runtime::Semaphore at_once_{2};
};

}  // namespace ff::net
