// Which algorithm and which chunk size a call takes. Pure, and only in what is the same on all ranks: both ends of a
// link must cut a message alike.
#pragma once

#include <cstdint>

#include "hfreduce/net/net_engine.hpp"

namespace ff::hfreduce::net {

// `bytes`: the whole message of all_reduce, reduce and broadcast; without meaning for the others.
NetAlgorithm choose_algorithm(const NetOptions& options, Collective kind, std::uint64_t bytes) noexcept;

// `bytes`: of one channel's part of the message, or of its largest segment. A multiple of 64, at most kChunkBytesMax.
inline constexpr std::uint64_t kChunkBytesMax = 4 << 20;
std::uint64_t choose_chunk(const NetOptions& options, NetAlgorithm algorithm, Collective kind,
                           std::uint64_t bytes) noexcept;

// How many channels share a message (or largest segment) of so many bytes.
int choose_channels(const NetOptions& options, NetAlgorithm algorithm, std::uint64_t bytes, bool gated) noexcept;

}  // namespace ff::hfreduce::net
