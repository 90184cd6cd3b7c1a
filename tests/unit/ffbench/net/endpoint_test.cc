#include "ffbench/net/endpoint.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "ffbench/measure/processors.hpp"

namespace ff::bench {
namespace {

TEST(Endpoint, WhatATestBoundIsFreeAgainAfterIt) {
  const auto all = allowed_processors();
  ASSERT_TRUE(all);
  if (all->size() < 2) GTEST_SKIP() << "needs two processors";
  const auto env = runtime::RealEnv::create({});
  ASSERT_TRUE(env);
  std::thread([&] {
    const TrafficHost host = real_traffic_host(**env, nullptr);
    ASSERT_TRUE(host.bind({all->front()}));
    EXPECT_EQ(*allowed_processors(), (std::vector<int>{all->front()}));
    // Another test meanwhile, on others.
    EXPECT_TRUE(host.bind({all->back()}));
    EXPECT_EQ(*allowed_processors(), (std::vector<int>{all->back()}));
    EXPECT_TRUE(host.bind({}));
    EXPECT_EQ(*allowed_processors(), *all);
    EXPECT_EQ(host.bind({1023}).error().code(), Errc::kInvalidArgument);
  }).join();
}

}  // namespace
}  // namespace ff::bench
