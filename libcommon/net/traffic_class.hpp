// Which kind of traffic a connection carries, so that switches and NICs can keep the kinds apart.
// A storage burst must not delay a gradient, and neither may delay a lease renewal.
//
//  class       DSCP       SO_PRIORITY  service level   for
//  collective  26 (AF31)  3            3               gradient exchange; bulk that computation waits for
//  storage     18 (AF21)  2            2               chunks and checkpoints; bulk that has slack
//  metadata    34 (AF41)  4            4               small requests that somebody waits for
//  control     40 (CS5)   5            5               leases, heartbeats, elections; tiny and never late
//
// Why these: switches and NICs that trust DSCP map it to a priority by its upper three bits unless told otherwise, so
// the four classes fall into four queues without any configuration, and that number is also the class's SO_PRIORITY
// (values to 6 need no privilege) and its InfiniBand service level. 26 in queue 3 is what RoCE deployments make
// lossless by convention. CS6 and CS7 stay with the network's own routing, 48 with RoCE's congestion notifications.
// The numbers are part of what operators configure in switches: they do not change.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::net {

enum class TrafficClass : std::uint8_t { kCollective = 0, kStorage = 1, kMetadata = 2, kControl = 3 };

inline constexpr std::array kTrafficClasses = {TrafficClass::kCollective, TrafficClass::kStorage,
                                               TrafficClass::kMetadata, TrafficClass::kControl};

struct TrafficClassMarks {
  std::uint8_t dscp;           // six bits; IP_TOS is this times four
  std::uint8_t priority;       // SO_PRIORITY
  std::uint8_t service_level;  // of a verbs queue pair
};

// "collective", "storage", "metadata", "control".
std::string_view traffic_class_name(TrafficClass c) noexcept;
// kInvalidArgument with the names that exist.
Result<TrafficClass> parse_traffic_class(std::string_view name);
TrafficClassMarks traffic_class_marks(TrafficClass c) noexcept;

// Marks what the socket sends from now on. TCP over IPv4 and IPv6 (both for a dual-stack socket); Unix sockets have
// nothing to mark and succeed. kIo with errno when the kernel refuses (a sandbox may).
Result<> apply_to_socket(int fd, TrafficClass c);

}  // namespace ff::net
