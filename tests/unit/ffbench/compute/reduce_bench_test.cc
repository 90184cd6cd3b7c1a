#include "ffbench/compute/reduce_bench.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

TEST(ReduceBound, IsTheTimeOfPlainKernelsForTheSameTraffic) {
  // Arrays of 1 byte at 10, 5 and 20 bytes a second.
  const PlainRates rates{.copy = 10, .triad = 5, .read = 20};
  EXPECT_DOUBLE_EQ(reduce_bound(1, rates), 10);
  EXPECT_DOUBLE_EQ(reduce_bound(2, rates), 5) << "two in, one out: triad";
  EXPECT_DOUBLE_EQ(reduce_bound(8, rates), 9 / (3.0 / 5 + 6.0 / 20));
}

TEST(ReduceBench, EveryTypeAndOperationAgreesWithTheScalarPath) {
  auto bench = ReduceBench::open({}, 5, 16384);
  ASSERT_TRUE(bench) << bench.error().message();
  for (int type = 0; type < hfreduce::kDTypeCount; ++type) {
    for (const auto op : {hfreduce::ReduceOp::kSum, hfreduce::ReduceOp::kAvg, hfreduce::ReduceOp::kMax}) {
      for (const std::uint64_t inputs : {5, 1, 2}) {
        const auto rate =
            bench->measure({static_cast<hfreduce::DType>(type), op, inputs, 8192}, std::chrono::microseconds(100), {});
        ASSERT_TRUE(rate) << rate.error().message();
        EXPECT_GT(*rate, 0);
      }
    }
  }
}

TEST(ReduceBench, RefusesWhatItCannotDo) {
  EXPECT_EQ(ReduceBench::open({}, 0, 4096).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(ReduceBench::open({}, 65, 4096).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(ReduceBench::open({}, 2, 100).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(ReduceBench::open({}, 2, 1ull << 50).error().code(), Errc::kExhausted);
  auto bench = ReduceBench::open({0}, 2, 8192);
  ASSERT_TRUE(bench);
  const std::chrono::milliseconds time(1);
  using enum hfreduce::DType;
  EXPECT_EQ(bench->measure({kFloat32, {}, 3, 4096}, time, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(bench->measure({kFloat32, {}, 2, 5000}, time, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(bench->measure({kFloat32, {}, 2, 16384}, time, {}).error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::bench
