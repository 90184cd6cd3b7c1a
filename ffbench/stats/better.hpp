// Better: which way a metric improves. Apart from the document so that statistics need nothing of it.
#pragma once

#include <cstdint>

namespace ff::bench {

enum class Better : std::uint8_t { kHigher, kLower, kNeither };

}  // namespace ff::bench
