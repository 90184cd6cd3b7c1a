// Brings up one lane: TLS where asked, then the handshake of auth.hpp. Callers bound the time.
//
// Errors   As TlsSocket, Socket, ClientHandshake and ServerHandshake. The socket is closed on error.
// Threads  Those of the RealEnv.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "libcommon/net/auth.hpp"
#include "libcommon/net/tls.hpp"
#include "libcommon/runtime/socket.hpp"

namespace ff::net {

struct Lane {
  std::unique_ptr<runtime::Socket> socket;
  LinkSession link;
  std::uint16_t number = 0;  // 0: control
  bool encrypted = false;
  std::uint64_t admission = 0;  // where we accepted it: what admit() gave
};

// `link`: null for lane 0 of a new link. `tls`: null for a plain lane.
// REQUIRES of both: what is referred to outlives the task.
runtime::Task<Result<Lane>> shake_as_client(std::unique_ptr<runtime::Socket> socket, const Endpoint& endpoint,
                                            const TlsContext* tls, const LinkSession* link, std::uint16_t number);

struct LaneServer {
  // The links that stand.
  class Links {
   public:
    virtual std::optional<LinkSession> find(const LinkId& id) = 0;
    // The peer has proved itself and is about to be told so: an error refuses it; else Lane::admission. After lane 0
    // was admitted and shake_as_server() fails all the same, `withdraw` is called.
    virtual runtime::Task<Result<std::uint64_t>> admit(LinkSession link, std::uint16_t number) = 0;
    virtual void withdraw(const LinkId& id) noexcept = 0;

   protected:
    ~Links() = default;
  };

  const Endpoint& endpoint;
  const Endpoint& keyless;  // the same without key, for users that need none
  const TlsContext* tls;
  std::span<const uid_t> trusted_uids;
  Links& links;
};
runtime::Task<Result<Lane>> shake_as_server(std::unique_ptr<runtime::Socket> socket, const LaneServer& server);

}  // namespace ff::net
