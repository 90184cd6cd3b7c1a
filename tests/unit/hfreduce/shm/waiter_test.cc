#include "hfreduce/shm/waiter.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/hfreduce/shm/shm_fixture.hpp"

namespace ff::hfreduce::shm {
namespace {

using namespace std::chrono_literals;
using shm_test::FakeFailure;

TEST(Waiter, ComparesCountersAcrossTheWrap) {
  EXPECT_TRUE(reached(5U, 5U));
  EXPECT_FALSE(reached(4U, 5U));
  EXPECT_TRUE(reached(2U, 0xfffffffeU));
  EXPECT_FALSE(reached(0xfffffffeU, 2U));
}

TEST(Waiter, WakesASleeperLongBeforeTheSliceEnds) {
  Flag flag;
  const auto begin = std::chrono::steady_clock::now();
  std::jthread sleeper([&] {
    while (!reached(flag, 1)) sleep_below(flag, 1, 60s);
  });
  while (flag.sleepers.load() == 0) std::this_thread::yield();
  std::this_thread::sleep_for(5ms);
  post(flag, 1);
  sleeper.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
  EXPECT_EQ(flag.sleepers.load(), 0U);
}

TEST(Waiter, DoesNotSleepOnAValueThatHasChanged) {
  Flag flag;
  flag.value = 3;
  const auto begin = std::chrono::steady_clock::now();
  sleep_below(flag, 3, 60s);
  sleep_while(flag, 2, 60s);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

TEST(Backoff, SleepsAfterAFewTriesAndNeverBeyondTheDeadline) {
  FakeFailure failure;
  for (const int ranks : {1, 8}) {
    const WaitPolicy policy = WaitPolicy::choose(ranks, 2);
    Backoff backoff(policy, failure, Deadline::after(60s));
    int tries = 0;
    while (backoff.next() == Backoff::Step::kAgain) ASSERT_LT(++tries, 10'000'000);
    EXPECT_EQ(backoff.next(), Backoff::Step::kSleep);
    EXPECT_LE(backoff.slice(), Backoff::kSliceMax);
    backoff.reset();
    EXPECT_EQ(backoff.next(), Backoff::Step::kAgain);
  }
}

TEST(Backoff, EndsAtTheDeadlineAndAtAVerdict) {
  const WaitPolicy policy = WaitPolicy::choose(2, 2);
  FakeFailure failure;
  const auto end_of = [&](Deadline deadline) {
    Backoff backoff(policy, failure, deadline);
    for (;;)
      if (const auto step = backoff.next(); step != Backoff::Step::kAgain) return step;
  };
  EXPECT_EQ(end_of(Deadline::after(0s)), Backoff::Step::kTimeout);
  failure.tell_to_fail();
  EXPECT_EQ(end_of(Deadline::after(60s)), Backoff::Step::kFailed);
}

}  // namespace
}  // namespace ff::hfreduce::shm
