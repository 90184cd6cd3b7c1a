#include "ffbench/net/cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ff::bench {
namespace {

TEST(Cluster, AddressesOfAgentsNeedNoPort) {
  EXPECT_EQ(parse_agent_address("node7", 7471)->text(), "node7:7471");
  EXPECT_EQ(parse_agent_address("node7:80", 7471)->text(), "node7:80");
  EXPECT_EQ(parse_agent_address("[::1]", 7471)->text(), "[::1]:7471");
  EXPECT_EQ(parse_agent_address("[::1]:80", 7471)->text(), "[::1]:80");
  for (const char* bad : {"", ":80", "node7:", "node7:0", "node7:x", "*", "a b", "node7:99999"})
    EXPECT_FALSE(parse_agent_address(bad, 7471)) << bad;
}

TEST(Cluster, KeysTravelAsOneLine) {
  const SharedKey key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
  const auto back = parse_key_line(key_line(key));
  ASSERT_TRUE(back && *back);
  EXPECT_TRUE(std::ranges::equal((*back)->bytes(), key->bytes()));
  const auto none = parse_key_line(key_line(nullptr));
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
  EXPECT_FALSE(parse_key_line("ffkey1 12\n"));
  EXPECT_FALSE(parse_key_line(""));
}

TEST(Cluster, AKeyIsGivenOrRefusedOnPurpose) {
  EXPECT_EQ(load_key("", false).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(load_key("x", true).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(load_key("/no/such/key", false).error().code(), Errc::kNotFound);
  EXPECT_TRUE(load_key("", true));
}

}  // namespace
}  // namespace ff::bench
