#include "ffs/daemon/manager_sessions.hpp"

namespace ff::ffs {

runtime::Task<Result<std::set<std::uint64_t>>> ManagerSessions::live_clients() {
  FF_CO_TRY_ASSIGN(const ListSessionsReply reply, co_await manager_.list_sessions());
  if (reply.settling()) {
    co_return fail(Errc::kUnavailable, "manager: has not been primary for as long as a session lives");
  }
  std::set<std::uint64_t> clients;
  for (const ClientSession& session : reply.sessions()) clients.insert(session.client());
  co_return clients;
}

}  // namespace ff::ffs
