#include "ffbench/compute/latency.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

constexpr auto kShort = std::chrono::milliseconds(5);

// No processor loads in less than a fifth of a nanosecond, and none takes 100 us.
TEST(Latency, IsPlausibleFromTwoLinesUp) {
  for (const std::uint64_t bytes : {128ull, 16384ull, 1ull << 22}) {
    const auto ns = measure_memory_latency(bytes, 0, kShort, {});
    ASSERT_TRUE(ns) << ns.error().message();
    EXPECT_GT(*ns, 0.2) << bytes;
    EXPECT_LT(*ns, 1e5) << bytes;
  }
}

TEST(Latency, RefusesWhatItCannotDo) {
  EXPECT_EQ(measure_memory_latency(64, 0, kShort, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(measure_memory_latency(4096, 5000, kShort, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(measure_memory_latency(1ull << 60, 0, kShort, {}).error().code(), Errc::kExhausted);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(measure_memory_latency(4096, 0, std::chrono::seconds(60), stop.get_token()).error().code(),
            Errc::kCancelled);
}

}  // namespace
}  // namespace ff::bench
