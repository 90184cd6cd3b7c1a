// Incast, as the receiver sees it: it fetches pieces from all senders at once, over rpc calls whose answers are pushed
// into its memory, while a bystander's small calls share the way in with them.
//
// Goodput    bytes of the pieces that were whole within the window / its length.
// Bystander  small calls at a fixed rate r: call k is due at t0 + k/r and its latency counts from then, answered or not
//            (no coordinated omission). At most kBystanderCallsMax wait at once; more are due but not sent, and count
//            from when they were due. A call that failed, or was never sent, counts as unanswered and with no less than
//            the timeout: a bystander that is dead is not quick.
// Grants     request-to-send: senders ask before they push, and the receiver grants what its way in can take
//            (libcommon/rpc/grant_window.hpp). Without them, everybody pushes at once.
// Threads    Those of the Env.
#pragma once

#include "ffbench/net/traffic.hpp"

namespace ff::bench {

inline constexpr std::size_t kBystanderCallsMax = 4096;

// kUnavailable, kTimeout name the sender.
runtime::Task<Result<NetIncastOutcome>> run_incast(runtime::Env& env, NetIncast incast, const TrafficHost& host);

}  // namespace ff::bench
