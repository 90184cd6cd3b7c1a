// Which operations a job consists of, and how they are counted. Times are numbers of the test's choosing.
#include "ffbench/storage/load.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::bench {
namespace {

constexpr std::int64_t kEnd = 1'000'000'000;

StorageJob job(AccessPattern pattern) {
  return {.pattern = pattern, .block_bytes = 4096, .offset = 8192, .size = 10 * 4096};
}

TEST(Load, SequentialGoesThroughTheRegionAgainAndAgain) {
  Load load(job(AccessPattern::kRead), 0, kEnd);
  for (int pass = 0; pass < 3; ++pass)
    for (std::uint64_t i = 0; i < 10; ++i) {
      const auto operation = load.next(0);
      ASSERT_TRUE(operation);
      EXPECT_EQ(operation->offset, 8192 + i * 4096);
      EXPECT_FALSE(operation->write);
    }
}

TEST(Load, RandomTakesEveryBlockOnceInEachPassInAnotherOrder) {
  Load load(job(AccessPattern::kRandRead), 0, kEnd);
  std::vector<std::uint64_t> orders[2];
  for (auto& order : orders) {
    for (int i = 0; i < 10; ++i) order.push_back(load.next(0)->offset);
    const std::set<std::uint64_t> different(order.begin(), order.end());
    EXPECT_EQ(different.size(), 10u);
    EXPECT_EQ(*different.begin(), 8192u);
    EXPECT_EQ(*different.rbegin(), 8192u + 9 * 4096);
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST(Load, MixedPatternsReadTheirShare) {
  StorageJob mixed = job(AccessPattern::kRandReadWrite);
  mixed.read_share = 0.7;
  Load load(mixed, 0, kEnd);
  int read = 0;
  for (int i = 0; i < 100'000; ++i) read += !load.next(0)->write;
  EXPECT_NEAR(read, 70'000, 5 * 145);  // five standard deviations
}

TEST(Load, EndsAtItsTimeOrAfterItsOperations) {
  Load timed(job(AccessPattern::kRead), 100, 200);
  EXPECT_TRUE(timed.next(100));
  EXPECT_TRUE(timed.next(199));
  EXPECT_FALSE(timed.next(200));
  StorageJob counted = job(AccessPattern::kRead);
  counted.operations_max = 3;
  Load load(counted, 0, INT64_MAX);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(load.next(kEnd * 100));
  EXPECT_FALSE(load.next(kEnd * 100));
}

TEST(Load, WithARateOperationsAreDueAtFixedTimesAndLatencyCountsFromThere) {
  StorageJob rated = job(AccessPattern::kRead);
  rated.rate_iops = 1000;
  Load load(rated, 0, kEnd);
  // The disk stalls for 5 ms in the first operation; the next ones are late through no fault of theirs.
  const auto first = load.next(0);
  load.done(*first, 0, 5'000'000);
  for (std::int64_t k = 1; k <= 4; ++k) {
    const auto operation = load.next(5'000'000);
    ASSERT_TRUE(operation);
    EXPECT_EQ(operation->due_ns, k * 1'000'000);
    load.done(*operation, 5'000'000, 5'000'000 + 100);
  }
  const metrics::Histogram& latency = load.reading().read.latency;
  EXPECT_EQ(latency.count(), 5u);
  EXPECT_EQ(latency.max(), 5'000'000);
  EXPECT_EQ(latency.min(), 1'000'000 + 100);
  EXPECT_EQ(latency.sum(), 5'000'000u + 4'000'100u + 3'000'100u + 2'000'100u + 1'000'100u);
}

TEST(Load, AsksForASyncAfterEveryNthWrite) {
  StorageJob synced = job(AccessPattern::kWrite);
  synced.fsync_every = 3;
  Load load(synced, 0, kEnd);
  std::string seen;
  for (int i = 0; i < 7; ++i) seen += load.next(0)->sync_after ? 'S' : '.';
  EXPECT_EQ(seen, "..S..S.");
}

TEST(Load, CountsBytesAndElapsedToTheLastCompletion) {
  Load load(job(AccessPattern::kWrite), 1000, kEnd);
  const auto a = load.next(1000), b = load.next(1000);
  load.done(*b, 1000, 9000);
  load.done(*a, 1000, 7000);
  EXPECT_EQ(load.reading().write.operations, 2u);
  EXPECT_EQ(load.reading().write.bytes, 8192u);
  EXPECT_EQ(load.reading().elapsed_ns, 8000);
}

TEST(Load, MergedReadingsAddCountsAndKeepTheLongestTime) {
  Load a(job(AccessPattern::kRead), 0, kEnd), b(job(AccessPattern::kRead), 0, kEnd);
  a.done(*a.next(0), 0, 100);
  b.done(*b.next(0), 0, 300);
  StorageReading both = a.take();
  ASSERT_TRUE(both.merge(b.reading()));
  EXPECT_EQ(both.read.operations, 2u);
  EXPECT_EQ(both.elapsed_ns, 300);
  EXPECT_EQ(both.read.latency.max(), 300);
}

TEST(StorageJob, RefusesWhatCannotWork) {
  const auto message = [](StorageJob wrong) {
    const auto checked = check(wrong);
    return checked ? std::string("accepted") : checked.error().message();
  };
  StorageJob good = job(AccessPattern::kRead);
  EXPECT_EQ(message(good), "accepted");
  StorageJob small = good;
  small.size = 4095;
  EXPECT_NE(message(small).find("--size"), std::string::npos);
  StorageJob shallow = good;
  shallow.depth = 0;
  EXPECT_NE(message(shallow).find("--qd"), std::string::npos);
  StorageJob share = good;
  share.read_share = 1.01;
  EXPECT_NE(message(share).find("--mix"), std::string::npos);
  EXPECT_FALSE(parse_pattern("sideways"));
  EXPECT_EQ(parse_pattern("readwrite").value(), AccessPattern::kReadWrite);
}

}  // namespace
}  // namespace ff::bench
