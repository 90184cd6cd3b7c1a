#include "libcommon/testing/free_ports.hpp"

#include <gtest/gtest.h>

#include <set>

#include "libcommon/net/socket.hpp"

namespace ff::testing {
namespace {

TEST(FreePorts, AreDifferentAndCanBeBound) {
  const auto ports = free_ports(5);
  ASSERT_TRUE(ports) << ports.error().message();
  EXPECT_EQ(std::set<std::uint16_t>(ports->begin(), ports->end()).size(), 5u);
  for (const std::uint16_t port : *ports) EXPECT_TRUE(net::listen_on(net::Address::tcp("127.0.0.1", port)));
}

}  // namespace
}  // namespace ff::testing
