// Three small protocols, each with the mistake that everybody makes once and without it. The simulator must convict
// the first kind and let the second live: that is how we know that it would find the same mistake in real code.
#pragma once

#include "libcommon/testing/seeds.hpp"

namespace ff::sim {

// Clients increment a counter that a server keeps. Broken: get, add, put. Correct: compare-and-set.
Result<> register_scenario(testing::SimWorld& world, bool broken);
// Clients take turns by a lock with a lease and increment a counter in a store. Broken: whoever was stopped while it
// held the lock writes when it wakes up, long after somebody else got the lock. Correct: the store refuses tokens older
// than one that it has seen.
Result<> lock_scenario(testing::SimWorld& world, bool broken);
// A server appends records to a file and acknowledges them. Broken: without sync().
Result<> log_scenario(testing::SimWorld& world, bool broken);

}  // namespace ff::sim
