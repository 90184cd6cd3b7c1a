// Goal: nothing that threads count is lost or counted twice, and reading meanwhile never goes back. Under TSan as well.
#include "libcommon/metrics/sharded.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <set>
#include <thread>
#include <vector>

namespace ff::metrics {
namespace {

constexpr int kThreads = 6;
constexpr int kRounds = 20'000;

TEST(ThreadSlot, LiveThreadsHaveDistinctNumbersThatAreUsedAgain) {
  std::set<std::uint32_t> seen;
  for (int wave = 0; wave < 20; ++wave) {
    std::vector<std::uint32_t> slots(kThreads);
    std::latch all(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        slots[static_cast<std::size_t>(t)] = thread_slot();
        EXPECT_EQ(thread_slot(), slots[static_cast<std::size_t>(t)]);
        all.arrive_and_wait();
      });
    for (auto& thread : threads) thread.join();
    const std::set<std::uint32_t> wave_slots(slots.begin(), slots.end());
    EXPECT_EQ(wave_slots.size(), static_cast<std::size_t>(kThreads));
    seen.insert(wave_slots.begin(), wave_slots.end());
  }
  // 120 threads came and went; no more numbers than lived at once, with a few for the test's own.
  EXPECT_LE(seen.size(), 2U * kThreads);
}

TEST(Handles, CountNowhereByDefault) {
  Counter().add(3);
  Gauge().set(3);
  Gauge().add(3);
  Recorder().record(3);
  EXPECT_EQ(Counter().total(), 0U);
  EXPECT_EQ(Gauge().value(), 0);
  EXPECT_EQ(Recorder().snapshot().count(), 0U);
}

// Fewer shards than threads, so that some share one.
TEST(CounterCells, LoseNothingWhenManyThreadsAddAndOneReads) {
  CounterCells cells(4);
  const Counter counter(&cells);
  std::vector<std::thread> threads;
  std::atomic<int> running{kThreads};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) counter.add(2);
      --running;
    });
  std::uint64_t last = 0;
  while (running > 0) {
    const std::uint64_t now = counter.total();
    EXPECT_GE(now, last);
    last = now;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.total(), 2ULL * kThreads * kRounds);
}

TEST(Gauge, GoesUpAndDown) {
  GaugeCell cell;
  const Gauge gauge(&cell);
  gauge.set(10);
  gauge.add(-15);
  EXPECT_EQ(gauge.value(), -5);
}

TEST(HistogramCells, LoseNothingWhenManyThreadsRecordAndOneReads) {
  HistogramCells cells(HistogramLayout::make({.sub_bits = 7, .value_max = 1 << 20}).value(), 4);
  const Recorder recorder(&cells);
  std::vector<std::thread> threads;
  std::atomic<int> running{kThreads};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 1; i <= kRounds; ++i) recorder.record(std::int64_t{t * kRounds + i});
      --running;
    });
  std::uint64_t last = 0;
  while (running > 0) {
    const Histogram now = recorder.snapshot();
    EXPECT_GE(now.count(), last);
    last = now.count();
    // Consistent in itself at any time: what it writes it can read.
    EXPECT_TRUE(Histogram::decode(now.encode()));
  }
  for (auto& thread : threads) thread.join();
  // All numbers from 1 to n, once each.
  constexpr std::uint64_t n = std::uint64_t{kThreads} * kRounds;
  Histogram expected(cells.layout());
  for (std::uint64_t v = 1; v <= n; ++v) expected.record(static_cast<std::int64_t>(v));
  EXPECT_EQ(recorder.snapshot(), expected);
  EXPECT_EQ(recorder.snapshot().sum(), n * (n + 1) / 2);
}

TEST(Recorder, TakesDurationsAsNanoseconds) {
  HistogramCells cells({}, 1);
  Recorder(&cells).record(std::chrono::microseconds(3));
  EXPECT_EQ(Recorder(&cells).snapshot().max(), 3000);
}

}  // namespace
}  // namespace ff::metrics
