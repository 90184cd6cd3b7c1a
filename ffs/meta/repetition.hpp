// How long a request that changes something may be repeated: what clients and metadata services agree on.
#pragma once

#include <chrono>

namespace ff::ffs {

// A service keeps what it answered for this long: a repeated request (the same tag) gives the same answer, and is not
// carried out twice.
inline constexpr std::chrono::minutes kAnswersKept{5};
// So a client repeats no request that may have been carried out after this long; what is between is for the last
// attempt on its way, and for wall clocks of services that differ.
inline constexpr std::chrono::minutes kRepeatedMost{4};
static_assert(kRepeatedMost < kAnswersKept);

}  // namespace ff::ffs
