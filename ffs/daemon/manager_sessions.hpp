// ManagerSessions: which clients live, asked of the manager.
#pragma once

#include "ffs/meta/session_source.hpp"
#include "ffs/mgmt/routing_client.hpp"

namespace ff::ffs {

class ManagerSessions final : public SessionSource {
 public:
  explicit ManagerSessions(MgmtClient& manager) : manager_(manager) {}
  runtime::Task<Result<std::set<std::uint64_t>>> live_clients() override;

 private:
  MgmtClient& manager_;
};

}  // namespace ff::ffs
