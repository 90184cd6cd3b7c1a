// AdministratorCheck: whether a token is an administrator's, for a manager: a metadata service is asked each time, for
// users and tokens are in its store. Any that is alive will do.
//
// Errors    kPermission: it is not, with the service's sentence. kUnavailable: no metadata service could say.
// Waits     Under a second for each service that is alive, and no longer than its caller may.
// Lifetime  stop() before it goes; nothing is checked after that. The RoutingSource outlives it. Threads: the Env's.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ffs/mgmt/mgmt_service.hpp"
#include "ffs/mgmt/routing.hpp"
#include "libcommon/rpc/client.hpp"

namespace ff::ffs {

class AdministratorCheck final : public AdministratorSource {
 public:
  AdministratorCheck(runtime::Env& env, RoutingSource& routing) : env_(env), routing_(routing) {}
  runtime::Task<Result<>> check(std::string token) override;
  runtime::Task<void> stop();

 private:
  // Of the node at its present address.
  rpc::Client& client_of(const net::PeerAddress& address);

  runtime::Env& env_;
  RoutingSource& routing_;
  std::map<std::string, std::unique_ptr<rpc::Client>> clients_;  // by address; as many as there were addresses
};

}  // namespace ff::ffs
