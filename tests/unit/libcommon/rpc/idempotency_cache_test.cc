#include "libcommon/rpc/idempotency_cache.hpp"

#include <gtest/gtest.h>

namespace ff::rpc {
namespace {

using namespace std::chrono_literals;
using Outcome = IdempotencyCache::Outcome;

// Never looked into: the cache only passes the pointer on.
ServerCall* const kCall = reinterpret_cast<ServerCall*>(std::uintptr_t{8});
constexpr runtime::Time kStart{std::chrono::hours(1)};
constexpr runtime::Duration kBudget = 1s;

StoredReply reply_of(std::size_t bytes) { return {.ok = true, .bytes = std::vector<std::byte>(bytes)}; }

TEST(IdempotencyCache, ARepeatedKeyJoinsTheRunningCallThenGetsItsAnswer) {
  IdempotencyCache cache({});
  const IdempotencyKey key{1, 1};
  EXPECT_EQ(cache.begin(key, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  const auto running = cache.begin(key, 0, 5, nullptr, kStart, kBudget);
  EXPECT_EQ(running.outcome, Outcome::kRunning);
  EXPECT_EQ(running.running, kCall);
  cache.finish(key, reply_of(3), kStart);
  const auto stored = cache.begin(key, 0, 5, nullptr, kStart, kBudget);
  EXPECT_EQ(stored.outcome, Outcome::kStored);
  EXPECT_EQ(stored.stored->bytes.size(), 3u);
}

TEST(IdempotencyCache, KeysOfOtherClientsAndSequencesAreOthers) {
  IdempotencyCache cache({});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  EXPECT_EQ(cache.begin({2, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  EXPECT_EQ(cache.begin({1, 2}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
}

TEST(IdempotencyCache, AKeyOfAnotherMethodIsAConflict) {
  IdempotencyCache cache({});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  EXPECT_EQ(cache.begin({1, 1}, 0, 6, kCall, kStart, kBudget).outcome, Outcome::kConflict);
}

TEST(IdempotencyCache, AForgottenOperationRunsAgain) {
  IdempotencyCache cache({});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  cache.forget({1, 1});
  EXPECT_EQ(cache.entries(), 0u);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
}

TEST(IdempotencyCache, WhatAClientHasSettledIsDroppedAndItsLateCopiesAreRefused) {
  IdempotencyCache cache({});
  for (std::uint64_t i = 1; i <= 3; ++i) {
    EXPECT_EQ(cache.begin({1, i}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
    if (i != 2) cache.finish({1, i}, reply_of(1000), kStart);
  }
  EXPECT_EQ(cache.begin({1, 4}, 4, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  EXPECT_EQ(cache.entries(), 2u);  // 2, which still runs, and 4
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kSettled);
  cache.finish({1, 2}, reply_of(1000), kStart);
  EXPECT_EQ(cache.entries(), 1u);
  EXPECT_LT(cache.bytes(), 1000u);
}

TEST(IdempotencyCache, AnswersAndClientsExpire) {
  IdempotencyCache cache({.bytes = 1u << 20, .expiry = 10s});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  cache.finish({1, 1}, reply_of(10), kStart + 1s);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart + 10s, kBudget).outcome, Outcome::kStored);
  EXPECT_EQ(cache.begin({2, 1}, 0, 5, kCall, kStart + 25s, kBudget).outcome, Outcome::kNew);
  cache.forget({2, 1});
  EXPECT_EQ(cache.begin({3, 1}, 0, 5, kCall, kStart + 60s, kBudget).outcome, Outcome::kNew);
  cache.forget({3, 1});
  EXPECT_EQ(cache.entries(), 0u);
  const std::size_t one_client = cache.bytes();
  EXPECT_EQ(cache.begin({4, 1}, 0, 5, kCall, kStart + 120s, kBudget).outcome, Outcome::kNew);
  cache.forget({4, 1});
  EXPECT_EQ(cache.bytes(), one_client);
}

TEST(IdempotencyCache, AnswersStayAsLongAsTheirClientsMayAsk) {
  IdempotencyCache cache({.bytes = 1u << 20, .expiry = 10s});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, 1h).outcome, Outcome::kNew);
  EXPECT_EQ(cache.begin({1, 2}, 0, 5, kCall, kStart, 1s).outcome, Outcome::kNew);
  cache.finish({1, 1}, reply_of(10), kStart + 1s);
  cache.finish({1, 2}, reply_of(10), kStart + 1s);
  // An attempt that was sent with the last of the budget arrives a little later; of another client meanwhile.
  EXPECT_EQ(cache.begin({2, 1}, 0, 5, kCall, kStart + 30min, 1s).outcome, Outcome::kNew);
  EXPECT_EQ(cache.entries(), 2u);  // the second has expired
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, nullptr, kStart + 1h + 1s, 1us).outcome, Outcome::kStored);
  cache.forget({2, 1});
  EXPECT_EQ(cache.begin({3, 1}, 0, 5, kCall, kStart + 1h + 12s, 1s).outcome, Outcome::kNew);
  EXPECT_EQ(cache.entries(), 1u);
}

TEST(IdempotencyCache, AnAttemptThatMayComeAgainKeepsAnAnswerForLonger) {
  IdempotencyCache cache({.bytes = 1u << 20, .expiry = 10s});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, 1s).outcome, Outcome::kNew);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, nullptr, kStart, 30s).outcome, Outcome::kRunning);
  cache.finish({1, 1}, reply_of(10), kStart + 1s);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, nullptr, kStart + 39s, 60s).outcome, Outcome::kStored);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, nullptr, kStart + 108s, 1s).outcome, Outcome::kStored);
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart + 120s, 1s).outcome, Outcome::kNew);
  cache.forget({1, 1});
}

TEST(IdempotencyCache, FullRefusesNewOperationsAndKeepsThePromiseForOldOnes) {
  IdempotencyCache cache({.bytes = 4096, .expiry = 10s});
  std::uint64_t taken = 0;
  while (cache.begin({1, taken + 1}, 0, 5, kCall, kStart, kBudget).outcome == Outcome::kNew) {
    ++taken;
    cache.finish({1, taken}, reply_of(300), kStart);
    ASSERT_LT(taken, 100u);
  }
  EXPECT_GT(taken, 3u);
  EXPECT_LE(cache.bytes(), 4096u + 300u);
  EXPECT_EQ(cache.begin({1, taken + 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kFull);
  EXPECT_EQ(cache.begin({9, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kFull);
  for (std::uint64_t i = 1; i <= taken; ++i)
    EXPECT_EQ(cache.begin({1, i}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kStored);
  EXPECT_EQ(cache.begin({1, taken + 1}, taken + 1, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
}

TEST(IdempotencyCache, AnAnswerWithoutRoomIsReplacedNotForgotten) {
  IdempotencyCache cache({.bytes = 4096, .expiry = 10s});
  EXPECT_EQ(cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget).outcome, Outcome::kNew);
  cache.finish({1, 1}, reply_of(1u << 20), kStart);
  EXPECT_LT(cache.bytes(), 4096u);
  const auto stored = cache.begin({1, 1}, 0, 5, kCall, kStart, kBudget);
  EXPECT_EQ(stored.outcome, Outcome::kStored);
  EXPECT_FALSE(stored.stored->ok);
}

}  // namespace
}  // namespace ff::rpc
