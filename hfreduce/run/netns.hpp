// Several "hosts" on one machine: network namespaces joined by a bridge, so that ranks in different ones can only meet
// over TCP. The namespaces have no names; they live as long as the processes in them, so nothing is left to clean up.
//
//   hub namespace: bridge hfr0 -- veth0 .. vethK-1        namespace i: eth0 10.77.0.(i+1)/24, lo
//
// Needs   veth and bridge in the kernel, `ip` (package iproute2), and root or unprivileged user namespaces.
#pragma once

#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::run {

inline constexpr int kNetnsMax = 64;

std::string netns_address(int index);  // "10.77.0.1" for index 0

// Starts an agent in each of `count` namespaces and returns the sockets to them. Each agent ends with its socket.
// kUnsupported says what is missing and how to get it. REQUIRES 1 <= count <= kNetnsMax.
Result<std::vector<UniqueFd>> start_netns_agents(int count);

}  // namespace ff::hfreduce::run
