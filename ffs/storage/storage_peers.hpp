// StoragePeers: one rpc::Client for each storage node that is talked to, found by target through the routing.
//
// Ownership  The clients live until stop(): who got one may use it until then. Threads: those of the Env.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ffs/mgmt/routing.hpp"
#include "libcommon/rpc/client.hpp"

namespace ff::ffs {

class StoragePeers {
 public:
  explicit StoragePeers(runtime::Env& env, bool grants = true) : env_(env), grants_(grants) {}
  StoragePeers(const StoragePeers&) = delete;
  StoragePeers& operator=(const StoragePeers&) = delete;

  // Null: the routing does not know where the target is, or stop() was called.
  rpc::Client* of(const RoutingView& view, TargetId target);
  // Closes all connections; calls in flight end with kUnavailable.
  runtime::Task<void> stop();

 private:
  runtime::Env& env_;
  const bool grants_;
  bool stopped_ = false;
  std::map<std::string, std::unique_ptr<rpc::Client>> clients_;  // by address
};

}  // namespace ff::ffs
