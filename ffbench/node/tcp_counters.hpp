// What the kernel counts of TCP segments in this network namespace: how many were sent, and how many of them again.
//
// A segment is sent again when nobody acknowledged it in time: it was lost, or dropped by a filter or for want of
// memory. Between two sockets of one machine nothing should be. The counters are those of all connections of the
// namespace (RFC 1213, tcpOutSegs and tcpRetransSegs), so a difference over a test contains its neighbours' too.
// Threads  Pure reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ffbench/node/finding.hpp"

namespace ff::bench {

struct TcpCounters {
  std::uint64_t sent = 0;
  std::uint64_t resent = 0;
};

// Of the text of /proc/net/snmp; nothing where it does not have them.
std::optional<TcpCounters> parse_tcp_counters(std::string_view snmp);
std::optional<TcpCounters> tcp_counters();

// Judges what was sent again in between: warns from one segment in a thousand, fails from five in a thousand.
Finding resent_finding(std::string id, std::string measures, const std::optional<TcpCounters>& before,
                       const std::optional<TcpCounters>& after);

}  // namespace ff::bench
