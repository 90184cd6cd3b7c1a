// Socket traffic: a test over plain kernel sockets (TCP, or abstract Unix sockets within a host), a blocking thread for
// each connection: what the network can do, with nothing of ours in the way (socket_loops.hpp has the loops).
//
// Joining  A connection begins with the test's token, its flow and its number (24 bytes), and is answered with one
// byte;
//          whoever knows no token is dropped.
// Window   Counters are read by the Env's thread at the two edges of the window, never on the threads that move bytes.
//          Ends that start apart by more than the tail (a busy machine) lose nothing by it: a sender goes on until its
//          receiver says that its window has ended, for timeout/4 at most.
// Threads  Those of the Env, which must be a RealEnv; one thread a connection of its own, joined by run().
#pragma once

#include <memory>

#include "ffbench/net/traffic.hpp"

namespace ff::bench {

std::unique_ptr<Traffic> make_socket_traffic(runtime::Env& env, const NetTest& test, const TrafficHost& host);

}  // namespace ff::bench
