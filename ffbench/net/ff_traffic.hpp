// ff traffic: a test over libcommon/net connections, as our own programs use them: bandwidth by push() into the other
// end's exposed memory, latency by messages. Everything runs on the Env, and asks it for the time, so that the
// simulation can run it.
//
// Bandwidth  `depth` pushes of one message under way on each connection; counted are, at the sender, the bytes of
//            those that lie in the window, and of one over its edge the share that its time has in it: a push ends when
//            the other end has all of it. One that has not ended timeout/4 after the window counts nothing. The window
//            begins when as many have ended as are under way at a time, or timeout/4 late: the first ones have nobody
//            before them. (Exposure::arrived() would not do: it counts each byte of the memory once, however often it
//            is pushed into.)
// Latency    closed loop: the next request leaves in the handler of the last answer. open loop (rate r): request k is
//            due at t0 + k/r and its latency counts from then (no coordinated omission), also when the send queue is
//            full.
// Joining    A connection's first message is the test's token, its flow and its number; the receiver of a bandwidth
//            flow answers with the memory to push into, everybody else with one byte.
// Threads    Those of the Env.
#pragma once

#include <memory>

#include "ffbench/net/traffic.hpp"

namespace ff::bench {

// `network` outlives the Traffic; with `stop` it is stopped by close().
std::unique_ptr<Traffic> make_ff_traffic(runtime::Env& env, const NetTest& test, const TrafficHost& host,
                                         TrafficHost::FfNetwork network);

}  // namespace ff::bench
