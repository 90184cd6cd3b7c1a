#include "libcommon/metrics/registration.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

namespace ff::metrics {
namespace {

TEST(CallbackTable, CallsInTheOrderOfNames) {
  CallbackTable<int> table;
  const auto b = table.add("b", [] { return 2; }).value();
  const auto a = table.add("a", [] { return 1; }).value();
  const auto results = table.call_all();
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].first, "a");
  EXPECT_EQ(results[0].second.value(), 1);
  EXPECT_EQ(results[1].second.value(), 2);
}

TEST(CallbackTable, RefusesTwiceTheSameNameUntilTheFirstIsGone) {
  CallbackTable<int> table;
  auto first = table.add("a", [] { return 1; }).value();
  EXPECT_EQ(table.add("a", [] { return 2; }).error().code(), Errc::kAlreadyExists);
  first.release();
  EXPECT_TRUE(table.call_all().empty());
  EXPECT_TRUE(table.add("a", [] { return 2; }));
  EXPECT_EQ(table.add("", [] { return 2; }).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(table.add("x", nullptr).error().code(), Errc::kInvalidArgument);
}

TEST(Registration, MayOutliveTheTable) {
  Registration kept;
  {
    CallbackTable<int> table;
    kept = table.add("a", [] { return 1; }).value();
  }
  kept.release();
}

TEST(Registration, ReplacingOneTakesItOut) {
  CallbackTable<int> table;
  auto kept = table.add("a", [] { return 1; }).value();
  kept = table.add("b", [] { return 2; }).value();
  ASSERT_EQ(table.call_all().size(), 1U);
  EXPECT_EQ(table.call_all()[0].first, "b");
}

TEST(Registration, ReleaseWaitsForACallThatRuns) {
  CallbackTable<int> table;
  std::latch entered(1), released(1);
  std::atomic<bool> inside{false};
  auto registration = table
                          .add("slow",
                               [&] {
                                 inside = true;
                                 entered.count_down();
                                 released.wait();
                                 inside = false;
                                 return 1;
                               })
                          .value();
  std::thread caller([&] { (void)table.call_all(); });
  entered.wait();
  std::thread releaser([&] {
    registration.release();
    EXPECT_FALSE(inside);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(inside);
  released.count_down();
  caller.join();
  releaser.join();
}

TEST(CallbackTable, DoesNotWaitForLongBehindACallThatHangs) {
  CallbackTable<int> table;
  std::latch entered(1), released(1);
  const auto slow = table
                        .add("slow",
                             [&] {
                               entered.count_down();
                               released.wait();
                               return 1;
                             })
                        .value();
  const auto quick = table.add("quick", [] { return 2; }).value();
  std::thread caller([&] { (void)table.call_all(); });
  entered.wait();
  const auto begun = std::chrono::steady_clock::now();
  const auto results = table.call_all();
  EXPECT_GE(std::chrono::steady_clock::now() - begun, kBusyWait);
  released.count_down();
  caller.join();
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].second.value(), 2);
  EXPECT_EQ(results[1].second.error().code(), Errc::kTimeout);
}

}  // namespace
}  // namespace ff::metrics
