// The agent: starts a block of ranks on one machine, carries their output to the launcher and their end, and makes sure
// that none of them survives it. One process, one thread, one poll loop; the launcher is at the other end of two
// descriptors (a socket pair on its own machine, the pipes of ssh elsewhere).
//
// Ends    When all ranks are gone and their output is delivered, or at once (killing the ranks) when the launcher is
//         gone: its connection ended, or no ping followed a ping in the time that that one named.
// Bounds  Output waiting for the launcher: kOutputMax, then the ranks' pipes are no longer read and the ranks wait.
//         Forwarded stdin: the launcher keeps at most kStdinWindow bytes in flight.
#pragma once

#include <cstddef>

namespace ff::hfreduce::run {

inline constexpr std::size_t kOutputMax = 1u << 20;
inline constexpr std::size_t kStdinWindow = 256u << 10;

// Serves one launcher; returns the exit code of the agent's process. `in_fd` and `out_fd` may be the same socket.
int serve_agent(int in_fd, int out_fd);

}  // namespace ff::hfreduce::run
