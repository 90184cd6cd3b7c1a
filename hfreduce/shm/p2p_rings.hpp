// Point to point: a ring of slots for each ordered pair of ranks. The sends and receives of one list advance together,
// none blocks another, so an exchange cannot deadlock; within one direction of one pair they go in the order of the
// list.
//
// Framing   Every slot carries its message's total; a receive of another size is a mismatch, told on both sides by the
//           receiver's report. A message of no bytes takes one slot.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hfreduce/op.hpp"
#include "hfreduce/shm/group.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

// kInvalidArgument, before anything moves, for a peer that is not in the group.
Result<> run_p2p(const Group& group, std::span<const P2pOp> ops, const Call& call);

}  // namespace ff::hfreduce::shm
