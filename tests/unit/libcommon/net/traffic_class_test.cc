#include "libcommon/net/traffic_class.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>

#include "libcommon/base/unique_fd.hpp"
#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

TEST(TrafficClass, NamesGoBothWays) {
  for (const TrafficClass c : kTrafficClasses) EXPECT_EQ(*parse_traffic_class(traffic_class_name(c)), c);
  EXPECT_EQ(code_of(parse_traffic_class("Storage")), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(parse_traffic_class("")), Errc::kInvalidArgument);
}

TEST(TrafficClass, FallsIntoFourQueuesByDefaultMaps) {
  std::set<int> priorities;
  for (const TrafficClass c : kTrafficClasses) {
    const TrafficClassMarks marks = traffic_class_marks(c);
    EXPECT_EQ(marks.priority, marks.dscp >> 3);
    EXPECT_EQ(marks.service_level, marks.priority);
    EXPECT_LE(marks.priority, 6);  // above that the kernel wants CAP_NET_ADMIN
    priorities.insert(marks.priority);
  }
  EXPECT_EQ(priorities.size(), kTrafficClasses.size());
}

TEST(TrafficClass, MarksIpv4Sockets) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const TrafficClass c : kTrafficClasses) {
    const auto applied = apply_to_socket(fd.get(), c);
    ASSERT_TRUE(applied) << applied.error().message();
    EXPECT_EQ(option(fd.get(), IPPROTO_IP, IP_TOS), traffic_class_marks(c).dscp * 4);
    EXPECT_EQ(option(fd.get(), SOL_SOCKET, SO_PRIORITY), traffic_class_marks(c).priority);
  }
}

TEST(TrafficClass, MarksIpv6Sockets) {
  const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(apply_to_socket(fd.get(), TrafficClass::kCollective));
  EXPECT_EQ(option(fd.get(), IPPROTO_IPV6, IPV6_TCLASS), 26 * 4);
  EXPECT_EQ(option(fd.get(), SOL_SOCKET, SO_PRIORITY), 3);
}

TEST(TrafficClass, LeavesUnixSocketsAndRefusesNonSockets) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_TRUE(apply_to_socket(fd.get(), TrafficClass::kControl));
  EXPECT_FALSE(apply_to_socket(-1, TrafficClass::kControl));
}

}  // namespace
}  // namespace ff::net
