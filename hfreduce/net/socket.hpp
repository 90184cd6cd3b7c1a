// TCP sockets as the engine wants them: numeric addresses, never blocking, closed on exec, no Nagle, dead peers
// noticed.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <string>

#include "hfreduce/net/net_engine.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

// kInvalidArgument unless `address` is a numeric IPv4 or IPv6 address (fe80::1%eth0 too).
Result<SocketAddress> resolve(const std::string& address, std::uint16_t port);

Result<UniqueFd> listen_on(const SocketAddress& address);
// Begins a connection; it is there when the socket becomes writable and socket_error() is 0.
Result<UniqueFd> begin_connect(const SocketAddress& address, bool same_machine);
int socket_error(int fd) noexcept;
Result<std::uint16_t> local_port(int fd);

// Options of an established or new connection. On one machine: large buffers (the receiver reads whole chunks) and a
// congestion control that does not pace (bbr costs 20-30 % on loopback). Elsewhere the kernel tunes itself. What the
// kernel refuses is left as it is: nothing here is needed for correctness.
void tune_connection(int fd, bool same_machine) noexcept;

// How long unacknowledged data may wait before the kernel gives the peer up.
void set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept;

}  // namespace ff::hfreduce::net
