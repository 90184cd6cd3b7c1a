#include "ffbench/node/tcp_counters.hpp"

#include <gtest/gtest.h>

#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

constexpr std::string_view kSnmp =
    "Ip: Forwarding DefaultTTL\n"
    "Ip: 1 64\n"
    "Tcp: RtoAlgorithm MaxConn InSegs OutSegs RetransSegs InErrs\n"
    "Tcp: 1 -1 30258 30280 250 0\n"
    "Udp: InDatagrams\n"
    "Udp: 7\n";

TEST(TcpCounters, AreFoundByTheirNames) {
  const auto counters = parse_tcp_counters(kSnmp);
  ASSERT_TRUE(counters.has_value());
  EXPECT_EQ(counters->sent, 30280u);
  EXPECT_EQ(counters->resent, 250u);
}

TEST(TcpCounters, OfAnotherFormAreAbsent) {
  EXPECT_FALSE(parse_tcp_counters("").has_value());
  EXPECT_FALSE(parse_tcp_counters("Udp: A\nUdp: 1\n").has_value());
  EXPECT_FALSE(parse_tcp_counters("Tcp: OutSegs RetransSegs\n").has_value());
  EXPECT_FALSE(parse_tcp_counters("Tcp: OutSegs RetransSegs\nTcp: 12\n").has_value());
  EXPECT_FALSE(parse_tcp_counters("Tcp: OutSegs RetransSegs\nTcp: many few\n").has_value());
}

TEST(TcpCounters, NameALossyLink) {
  const auto judge = [](std::uint64_t sent, std::uint64_t resent) {
    return Findings{resent_finding("x", "x", TcpCounters{500, 90}, TcpCounters{500 + sent, 90 + resent})};
  };
  expect_finding(judge(100'000, 0), "x", CheckVerdict::kPass, "0 of 100000 segments (0.00 %)");
  expect_finding(judge(99'910, 90), "x", CheckVerdict::kPass);
  expect_finding(judge(99'700, 300), "x", CheckVerdict::kWarn, "300 of 100000 segments (0.30 %) were sent again");
  expect_finding(judge(99'000, 1000), "x", CheckVerdict::kFail, "segments are lost");
  // Too few to say.
  expect_finding(judge(500, 5), "x", CheckVerdict::kPass);
  expect_finding(judge(0, 0), "x", CheckVerdict::kPass);
}

TEST(TcpCounters, ThatCannotBeReadAreNoVerdict) {
  expect_finding({resent_finding("x", "x", std::nullopt, TcpCounters{1, 0})}, "x", CheckVerdict::kSkip);
  expect_finding({resent_finding("x", "x", TcpCounters{9, 0}, TcpCounters{1, 0})}, "x", CheckVerdict::kSkip);
}

}  // namespace
}  // namespace ff::bench
