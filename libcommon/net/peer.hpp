// Who is at the other end of a connection, as its handshake established it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libcommon/net/socket.hpp"

namespace ff::net {

struct PeerIdentity {
  std::string role;                      // "storage", "meta", "client", ...
  std::uint64_t node_id = 0;             // given by the cluster; 0 for processes without one
  std::uint64_t instance_id = 0;         // random for each start of the process: tells a restart from a return
  bool authenticated = false;            // proved that it holds the cluster key
  std::optional<PeerCredentials> local;  // over a Unix socket: told by the kernel
};

}  // namespace ff::net
