#include "ffbench/net/traffic.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

NetTest good() {
  NetTest test;
  test.set_token(std::string(kTestTokenBytes, 'x'));
  test.set_message_bytes(4096);
  test.set_depth(1);
  test.set_lanes(1);
  test.set_timeout_ns(1'000'000'000);
  NetFlow& flow = *test.add_flows();
  flow.set_connections(1);
  return test;
}

TEST(Traffic, TakesATestThatIsInOrder) { EXPECT_TRUE(check_test(good())); }

TEST(Traffic, RefusesWhatAControllerOfOursWouldNotAsk) {
  const auto refused = [](auto change) {
    NetTest test = good();
    change(test);
    const auto checked = check_test(test);
    return !checked && checked.error().code() == Errc::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](NetTest& t) { t.set_token("short"); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_message_bytes(0); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_message_bytes(kTestMessageBytesMax + 1); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_depth(0); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_lanes(65); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_timeout_ns(0); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_rate(5); }));  // of bandwidth
  EXPECT_TRUE(refused([](NetTest& t) { t.set_rate(-1); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_tls(true); }));  // over tcp
  EXPECT_TRUE(refused([](NetTest& t) { t.set_traffic_class("fast"); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.set_congestion("a_name_that_is_too_long"); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.clear_flows(); }));
  EXPECT_TRUE(refused([](NetTest& t) { t.mutable_flows(0)->set_connections(0); }));
  EXPECT_TRUE(refused([](NetTest& t) { *t.add_flows() = t.flows(0); }));  // the same end twice
  EXPECT_TRUE(refused([](NetTest& t) {                                    // 1 GiB each
    t.set_message_bytes(kTestMessageBytesMax);
    t.mutable_flows(0)->set_connections(5);
  }));
  EXPECT_TRUE(refused([](NetTest& t) {
    t.set_pattern(NET_LATENCY);
    t.set_rate(1);
    t.set_iterations(1);
  }));
}

TEST(Traffic, ASchedulesWindowFitsItsTest) {
  NetSchedule schedule;
  EXPECT_FALSE(check_schedule(good(), schedule));
  schedule.set_window_ns(1'000'000'000);
  EXPECT_TRUE(check_schedule(good(), schedule));
  NetTest counted = good();
  counted.set_iterations(5);
  EXPECT_FALSE(check_schedule(counted, schedule));
  schedule.set_window_ns(0);
  EXPECT_TRUE(check_schedule(counted, schedule));
  schedule.set_lead_ns(UINT64_MAX);
  EXPECT_FALSE(check_schedule(counted, schedule));
}

TEST(Traffic, IncastIsChecked) {
  NetIncast incast;
  incast.add_senders("127.0.0.1:1");
  incast.set_piece_bytes(1 << 20);
  incast.set_streams(1);
  incast.set_window_ns(1'000'000'000);
  incast.set_timeout_ns(1'000'000'000);
  EXPECT_TRUE(check_incast(incast));
  incast.set_streams(0);
  EXPECT_FALSE(check_incast(incast));
  incast.set_streams(256);
  incast.set_piece_bytes(256 << 20);
  EXPECT_FALSE(check_incast(incast));
  incast.set_streams(1);
  incast.clear_senders();
  EXPECT_FALSE(check_incast(incast));
}

TEST(Traffic, EveryEndThatConnectsNeedsAPeer) {
  NetTest test = good();
  test.mutable_flows(0)->set_connects(true);
  NetPeers peers;
  EXPECT_FALSE(peers_of(test, peers));
  NetFlow& given = *peers.add_flows();
  given.set_connects(true);
  given.set_peer("nonsense");
  EXPECT_FALSE(peers_of(test, peers));
  given.set_peer("127.0.0.1:80,127.0.0.2:80");
  const auto found = peers_of(test, peers);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->front().planes.size(), 2u);
}

}  // namespace
}  // namespace ff::bench
