// What this machine's kernel moves between two of its own threads: the ceiling of every socket on it.
//
// Method   One TCP connection over 127.0.0.1, one thread that sends 128 KiB blocks and one that receives
//          (socket_loops.hpp). Rate = bytes received in the window / its length, after a lead of a tenth of it.
// Stopping A requested stop gives kCancelled within 20 ms.
// Threads  Any; blocks for 1.1 times the duration. Both threads have ended when it returns.
#pragma once

#include <chrono>
#include <stop_token>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// Bytes a second. kInvalidArgument: no positive duration; kIo and others of the sockets.
Result<double> measure_loopback_bandwidth(std::chrono::nanoseconds duration, std::stop_token stop);

}  // namespace ff::bench
