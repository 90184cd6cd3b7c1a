// Ports of the loopback address for programs that cannot bind port 0 and tell (members of an etcd cluster must know
// each other's ports beforehand). Another process may take one before it is used: try again with others.
#pragma once

#include <cstdint>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::testing {

// `count` different TCP ports that nobody listens on now.
Result<std::vector<std::uint16_t>> free_ports(std::size_t count);

}  // namespace ff::testing
