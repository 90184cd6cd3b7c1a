#include "libcommon/net/traffic_class.hpp"

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "libcommon/base/assert.hpp"

namespace ff::net {
namespace {

struct Row {
  std::string_view name;
  TrafficClassMarks marks;
};

constexpr std::array<Row, 4> kRows = {{
    {"collective", {.dscp = 26, .priority = 3, .service_level = 3}},
    {"storage", {.dscp = 18, .priority = 2, .service_level = 2}},
    {"metadata", {.dscp = 34, .priority = 4, .service_level = 4}},
    {"control", {.dscp = 40, .priority = 5, .service_level = 5}},
}};

const Row& row_of(TrafficClass c) {
  const auto index = static_cast<std::size_t>(c);
  FF_ASSERT(index < kRows.size(), index);
  return kRows[index];
}

Result<> set(int fd, int level, int name, int value, std::string_view what, TrafficClass c) {
  if (::setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
  return fail(errno_error(fmt::format("traffic class {}: set {} to {}", traffic_class_name(c), what, value)));
}

}  // namespace

std::string_view traffic_class_name(TrafficClass c) noexcept { return row_of(c).name; }

Result<TrafficClass> parse_traffic_class(std::string_view name) {
  for (const TrafficClass c : kTrafficClasses)
    if (row_of(c).name == name) return c;
  return fail(Errc::kInvalidArgument,
              fmt::format("traffic class '{}': unknown (use collective, storage, metadata or control)", name));
}

TrafficClassMarks traffic_class_marks(TrafficClass c) noexcept { return row_of(c).marks; }

Result<> apply_to_socket(int fd, TrafficClass c) {
  int family = 0;
  socklen_t length = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0)
    return fail(errno_error(fmt::format("traffic class {}: ask for the socket's family", traffic_class_name(c))));
  if (family != AF_INET && family != AF_INET6) return {};
  const TrafficClassMarks marks = row_of(c).marks;
  const int tos = marks.dscp << 2;  // the two bits below are ECN's; TCP manages them
  if (family == AF_INET6) {
    FF_TRY(set(fd, IPPROTO_IPV6, IPV6_TCLASS, tos, "IPV6_TCLASS", c));
    // For IPv4 peers of a dual-stack socket; an IPv6-only one has no use for it and may refuse.
    static_cast<void>(::setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
  } else {
    FF_TRY(set(fd, IPPROTO_IP, IP_TOS, tos, "IP_TOS", c));
  }
  // Last: setting IP_TOS makes Linux choose a priority of its own.
  return set(fd, SOL_SOCKET, SO_PRIORITY, marks.priority, "SO_PRIORITY", c);
}

}  // namespace ff::net
