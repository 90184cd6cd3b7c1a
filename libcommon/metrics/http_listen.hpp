// The listening socket of an HTTP server. Threads: pure functions but for the sockets they make.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::metrics {

// Non-blocking, closed on exec. `numeric` is an IPv4 or IPv6 address in numbers; port 0 takes one that is free.
// kInvalidArgument for another address, else the system's error: "127.0.0.1:80: Permission denied".
Result<UniqueFd> listen_on(const std::string& numeric, std::uint16_t port);

// The port that a listener has.
Result<std::uint16_t> port_of(int fd);

// "127.0.0.1:80", "[::1]:80".
std::string endpoint_text(const std::string& numeric, std::uint16_t port);

}  // namespace ff::metrics
