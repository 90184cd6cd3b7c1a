// Is there an order of a register history's operations, consistent with real time, in which each returns what it
// returned? Checked for every key by itself, which is enough: linearizability is local.
//
// Method   Depth-first search over which operation took effect next, with a memory of (set done, value) pairs that led
//          nowhere. Operations of unknown outcome may take effect at any time after their call, or not at all; unknown
//          reads say nothing and are left out.
// Source   Wing and Gong, "Testing and verifying concurrent objects", 1993; Lowe, "Testing for linearizability", 2017.
#pragma once

#include <cstdint>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/testing/history.hpp"

namespace ff::testing {

struct LinearizabilityOptions {
  RegisterValue initial;                 // of every key
  std::uint64_t states_max = 5'000'000;  // per key
};

// kCorrupt: there is no such order; the message names the key, the longest prefix found, and what could not follow it.
// kExhausted: not decided within states_max. kInvalidArgument: an operation returned before it was called.
Result<> check_linearizable(const std::vector<RegisterOp>& history, const LinearizabilityOptions& options = {});

}  // namespace ff::testing
