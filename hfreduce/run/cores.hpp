// Which cores a rank gets when its launcher binds it.
//
// Two ranks that spin for each other on one core of two take turns of a microsecond or more where they would need a
// fifth of one, and the kernel may leave them there for long; launchers of MPI bind for the same reason.
#pragma once

#include <sched.h>

#include <vector>

namespace ff::hfreduce::run {

// The cores this process may use, ascending.
std::vector<int> allowed_cores();

// The `index`th of `ranks` equal blocks of `cores`; empty (leave it to the kernel) for a single rank or where there are
// fewer cores than ranks. Pure.
std::vector<int> core_block(const std::vector<int>& cores, int index, int ranks);

}  // namespace ff::hfreduce::run
