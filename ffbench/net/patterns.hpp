// Which messages are sent and who sends to whom: pure functions of the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// "64K,1M": sizes in the order given. kInvalidArgument: one that is no size, is 0, exceeds `most`, or is there twice.
Result<std::vector<std::uint64_t>> parse_sizes(const std::string& text, std::uint64_t most);
// begin, begin * factor, ... up to end. REQUIRES of the caller's options nothing: kInvalidArgument for begin 0,
// end < begin, factor < 2, more than 64 sizes.
Result<std::vector<std::uint64_t>> sweep_sizes(std::uint64_t begin, std::uint64_t end, std::int64_t factor);

using Pair = std::pair<std::size_t, std::size_t>;  // from, to
// All ordered pairs of different ones, by row.
std::vector<Pair> all_pairs(std::size_t hosts);
// All ordered pairs in rounds. `at_once`: in each round no host is in two pairs (the circle method of round-robin
// tournaments: one host stands, the others turn about it; each round in both directions); else a pair a round.
std::vector<std::vector<Pair>> mesh_rounds(std::size_t hosts, bool at_once);

// "a,b,c" to words. kInvalidArgument: an empty or repeated one.
Result<std::vector<std::string>> parse_names(const std::string& text);

}  // namespace ff::bench
