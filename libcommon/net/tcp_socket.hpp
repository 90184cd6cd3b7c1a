// TCP sockets: resolve, listen, connect with a deadline, and the options that every connection of ours wants.
// All descriptors are non-blocking and close-on-exec. Errors name the address.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::net {

struct SocketAddress {
  std::string address;  // numeric after local_address()/peer_address(); a name is resolved where one is taken
  std::uint16_t port = 0;

  std::string text() const;  // "127.0.0.1:80", "[::1]:80"
};

// Listens on `address` (name or number; empty: every interface), port 0 picks a free one. SO_REUSEADDR is set.
Result<UniqueFd> listen_tcp(const SocketAddress& at);

// Connects; while the peer refuses or is unreachable it tries again (it may still be starting) until the deadline.
Result<UniqueFd> connect_tcp(const SocketAddress& to, const Deadline& deadline);

// TCP_NODELAY, keepalive (dead host noticed after about 16 s of silence).
void set_connection_options(int fd);

Result<SocketAddress> local_address(int fd);
Result<SocketAddress> peer_address(int fd);

}  // namespace ff::net
