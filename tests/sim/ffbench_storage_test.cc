// The storage engine on simulated disks whose delays are known: rates and percentiles must come out.
#include <gtest/gtest.h>

#include <cmath>

#include "ffbench/storage/env_engine.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::Latency;

constexpr std::uint64_t kFileBytes = 4 << 20;

StorageReading measure(testing::DiskModel disk, StorageJob job, runtime::Duration duration) {
  testing::WorldOptions options;
  options.disk = disk;
  testing::SimWorld world(1, options);
  world.add_node();
  StorageReading out;
  job.size = kFileBytes;
  world.start(0, [&](testing::SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true, .create = true, .direct = true}));
    FF_CO_TRY(co_await lay_out(env, *file, 0, kFileBytes, 1, {}));
    FF_CO_TRY_ASSIGN(out, co_await run_on_env(env, *file, job, duration, {}));
    co_return co_await file->close();
  });
  EXPECT_TRUE(world.run_until([&] { return world.exited(0); }, 10min));
  if (world.exited(0)) {
    EXPECT_TRUE(world.exit_result(0)) << world.exit_result(0).error().message();
  }
  return out;
}

testing::DiskModel disk_with(Latency read) {
  testing::DiskModel disk;
  disk.read = read;
  return disk;
}

TEST(StorageEngineOnSim, ConstantLatencyGivesDepthOverLatency) {
  for (const std::uint32_t depth : {1u, 4u, 32u}) {
    const auto got =
        measure(disk_with(Latency::constant(100us)), {.pattern = AccessPattern::kRandRead, .depth = depth}, 1s);
    const double iops = static_cast<double>(got.read.operations) / (static_cast<double>(got.elapsed_ns) / 1e9);
    EXPECT_NEAR(iops, depth / 100e-6, depth / 100e-6 * 0.01) << depth;
    // Buckets are 0.4 % wide.
    EXPECT_NEAR(static_cast<double>(got.read.latency.percentile(0.5)), 100e3, 400);
    EXPECT_NEAR(static_cast<double>(got.read.latency.percentile(0.999)), 100e3, 400);
  }
}

TEST(StorageEngineOnSim, LognormalLatencyGivesItsPercentiles) {
  constexpr double median = 200e3, sigma = 0.5;
  const auto got =
      measure(disk_with(Latency::lognormal(200us, sigma)), {.pattern = AccessPattern::kRandRead, .depth = 16}, 20s);
  ASSERT_GT(got.read.operations, 1'000'000u);
  // Standard normal quantiles; the error of a quantile of a million draws is below 1 % here.
  for (const auto& [quantile, z] : {std::pair{0.5, 0.0}, {0.9, 1.2815516}, {0.99, 2.3263479}, {0.999, 3.0902323}}) {
    const double expected = median * std::exp(sigma * z);
    EXPECT_NEAR(static_cast<double>(got.read.latency.percentile(quantile)), expected, expected * 0.015) << quantile;
  }
}

TEST(StorageEngineOnSim, ARateBelowTheDisksGivesThatRateAndTheDisksLatency) {
  const auto got = measure(disk_with(Latency::constant(100us)),
                           {.pattern = AccessPattern::kRead, .depth = 8, .rate_iops = 2000}, 2s);
  EXPECT_EQ(got.read.operations, 4000u);
  EXPECT_NEAR(static_cast<double>(got.read.latency.max()), 100e3, 400);
}

TEST(StorageEngineOnSim, ARateAboveTheDisksShowsTheQueueThatAClosedLoopHides) {
  // The disk does 10,000 a second at depth 1 and 20,000 are asked: after t seconds an operation is t/2 late.
  const auto got = measure(disk_with(Latency::constant(100us)),
                           {.pattern = AccessPattern::kRead, .depth = 1, .rate_iops = 20'000}, 1s);
  EXPECT_NEAR(static_cast<double>(got.read.latency.max()), 0.5e9, 0.03e9);
  EXPECT_NEAR(static_cast<double>(got.read.latency.percentile(0.5)), 0.25e9, 0.02e9);
}

TEST(StorageEngineOnSim, WritesSyncAndAreCounted) {
  testing::DiskModel disk;
  disk.write = Latency::constant(50us);
  disk.sync = Latency::constant(400us);
  const auto got = measure(disk, {.pattern = AccessPattern::kWrite, .fsync_every = 1, .operations_max = 100}, 1s);
  EXPECT_EQ(got.write.operations, 100u);
  EXPECT_EQ(got.sync.count(), 100u);
  EXPECT_NEAR(static_cast<double>(got.sync.percentile(0.5)), 400e3, 1600);
  EXPECT_NEAR(static_cast<double>(got.elapsed_ns), 100 * 450e3, 100 * 450e3 * 0.01);
}

TEST(StorageEngineOnSim, ABandwidthLimitIsWhatIsMeasured) {
  testing::DiskModel disk = disk_with(Latency::constant(10us));
  disk.bytes_per_second = 500e6;
  const auto got = measure(disk, {.pattern = AccessPattern::kRead, .block_bytes = 1 << 20, .depth = 4}, 5s);
  const double rate = static_cast<double>(got.read.bytes) / (static_cast<double>(got.elapsed_ns) / 1e9);
  EXPECT_NEAR(rate, 500e6, 500e6 * 0.02);
}

TEST(StorageEngineOnSim, AFailedReadIsAnErrorThatNamesThePlace) {
  testing::DiskModel disk;
  disk.read_error = 1;
  testing::WorldOptions options;
  options.disk = disk;
  testing::SimWorld world(1, options);
  world.add_node();
  world.start(0, [&](testing::SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true, .create = true}));
    FF_CO_TRY(co_await lay_out(env, *file, 0, kFileBytes, 1, {}));
    FF_CO_TRY_ASSIGN(const auto reading, co_await run_on_env(env, *file, {.size = kFileBytes}, 1s, {}));
    if (reading.error) co_return fail(*reading.error);
    co_return {};
  });
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, 10min));
  ASSERT_FALSE(world.exit_result(0));
  EXPECT_NE(world.exit_result(0).error().message().find("f: read"), std::string::npos)
      << world.exit_result(0).error().message();
}

}  // namespace
}  // namespace ff::bench
