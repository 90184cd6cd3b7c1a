#include "libcommon/rpc/retry.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::rpc {
namespace {

using namespace std::chrono_literals;

TEST(MayRetry, WhatMayHaveRunIsRepeatedOnlyWhenThatIsSafe) {
  for (const Errc code : {Errc::kUnavailable, Errc::kExhausted, Errc::kTimeout}) {
    const Failure failure{.code = code, .may_have_run = true};
    EXPECT_FALSE(may_retry(failure, {}));
    EXPECT_TRUE(may_retry(failure, {.by_method = true}));
    EXPECT_TRUE(may_retry(failure, {.by_key = true}));
    EXPECT_TRUE(may_retry({.code = code, .may_have_run = false}, {}));
  }
}

TEST(MayRetry, AnswersAreNotRepeated) {
  for (const Errc code : {Errc::kInvalidArgument, Errc::kNotFound, Errc::kAlreadyExists, Errc::kPermission,
                          Errc::kCorrupt, Errc::kIo, Errc::kUnsupported, Errc::kCancelled, Errc::kInternal}) {
    EXPECT_FALSE(may_retry({.code = code, .may_have_run = false}, {.by_method = true, .by_key = true}));
  }
}

TEST(Backoff, DoublesUpToItsLimitAndIsSpreadOverTheUpperHalf) {
  Rng rng(1);
  const std::pair<std::uint32_t, runtime::Duration> expected[] = {{1, 10ms},  {2, 20ms}, {3, 40ms},
                                                                  {7, 640ms}, {8, 1s},   {1000, 1s}};
  for (const auto& [failures, whole] : expected) {
    std::set<std::int64_t> seen;
    for (int i = 0; i < 200; ++i) {
      const auto pause = backoff(rng, failures, 10ms, 1s);
      EXPECT_GE(pause, whole / 2);
      EXPECT_LE(pause, whole);
      seen.insert(pause.count());
    }
    EXPECT_GT(seen.size(), 150u);
  }
}

TEST(RetryBudget, AllowsABurstThenATenthOfTheCallsThatSucceed) {
  RetryBudget budget;
  int burst = 0;
  while (budget.spend()) ++burst;
  EXPECT_EQ(burst, 100);
  int spent = 0;
  for (int i = 0; i < 1000; ++i) {
    budget.succeeded();
    if (budget.spend()) ++spent;
  }
  EXPECT_EQ(spent, 100);
}

}  // namespace
}  // namespace ff::rpc
