// What a kPing means, told by its number (the header's `transfer`, which a kPong returns).
//
//  bits 56..63  purpose   the rest
//            0  are you there?            any number
//            1  mark your sockets         traffic class: the connection's, as its opener asked; no answer
//            2  open the bulk lanes       0; asked by the accepting side, which cannot connect; no answer
//            3  drop a lane               bits 32..47 its number, 0..31 a serial. The pong says that nothing that
//                                         came by that lane will be written to memory any more: what it carried may
//                                         be sent again by another lane without a late duplicate overwriting newer
//                                         bytes.
#pragma once

#include <cstdint>

#include "libcommon/net/traffic_class.hpp"

namespace ff::net {

enum class PingPurpose : std::uint8_t { kAlive = 0, kTraffic = 1, kOpenLanes = 2, kDropLane = 3 };

inline PingPurpose ping_purpose(std::uint64_t number) noexcept { return static_cast<PingPurpose>(number >> 56); }
inline std::uint64_t ping_number(PingPurpose purpose, std::uint64_t rest) noexcept {
  return std::uint64_t{static_cast<std::uint8_t>(purpose)} << 56 | rest;
}
inline std::uint64_t drop_lane_number(std::uint16_t lane, std::uint32_t serial) noexcept {
  return ping_number(PingPurpose::kDropLane, std::uint64_t{lane} << 32 | serial);
}
inline std::uint16_t dropped_lane(std::uint64_t number) noexcept { return static_cast<std::uint16_t>(number >> 32); }

}  // namespace ff::net
