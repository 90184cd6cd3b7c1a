#include "libcommon/runtime/sync.hpp"

#include <vector>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

struct SyncTest : testing::Test {
  ManualEnv env;
  std::string log;
  Scope scope{env};
};

Task<Result<>> hold(Semaphore& semaphore, std::uint64_t count, Duration how_long, std::string& log, char name) {
  FF_CO_TRY_ASSIGN(auto permit, co_await semaphore.acquire(count));
  log += name;
  FF_CO_TRY(co_await sleep(how_long));
  co_return {};
}

TEST_F(SyncTest, SemaphoreGrantsInOrderSoThatLargeRequestsAreNotStarved) {
  Semaphore semaphore(3);
  scope.spawn(hold(semaphore, 2, 1s, log, 'a'));
  scope.spawn(hold(semaphore, 3, 1s, log, 'B'));  // must wait for a
  scope.spawn(hold(semaphore, 1, 1s, log, 'c'));  // would fit beside a, but came after B
  env.settle();
  EXPECT_EQ(log, "a");
  EXPECT_TRUE(semaphore.contended());
  EXPECT_FALSE(semaphore.try_acquire(1));
  env.advance(1s);
  EXPECT_EQ(log, "aB");
  env.advance(1s);
  EXPECT_EQ(log, "aBc");
  env.advance(1s);
  EXPECT_EQ(semaphore.available(), 3u);
  EXPECT_FALSE(semaphore.contended());
}

TEST_F(SyncTest, SemaphoreRefusesWhatItCanNeverGrant) {
  Semaphore semaphore(3);
  auto result = env.run(semaphore.acquire(4));
  EXPECT_EQ(code_of(result), Errc::kInvalidArgument);
}

TEST_F(SyncTest, ACancelledHeadOfTheLineLetsTheNextOneUp) {
  Semaphore semaphore(2);
  Scope impatient(env);
  scope.spawn(hold(semaphore, 1, 1s, log, 'a'));
  env.settle();
  impatient.spawn(hold(semaphore, 2, 1s, log, 'B'));
  env.settle();
  scope.spawn(hold(semaphore, 1, 1s, log, 'c'));
  env.settle();
  EXPECT_EQ(log, "a");
  impatient.cancel();
  env.settle();
  EXPECT_EQ(log, "ac");
  env.advance(1s);
  EXPECT_EQ(semaphore.available(), 2u);
}

TEST_F(SyncTest, ACancelledWaiterInTheMiddleIsSkipped) {
  Semaphore semaphore(1);
  Scope impatient(env);
  scope.spawn(hold(semaphore, 1, 1s, log, 'a'));
  scope.spawn(hold(semaphore, 1, 1s, log, 'b'));
  env.settle();
  impatient.spawn(hold(semaphore, 1, 1s, log, 'x'));
  env.settle();
  scope.spawn(hold(semaphore, 1, 1s, log, 'c'));
  env.settle();
  impatient.cancel();
  env.advance(5s);
  EXPECT_EQ(log, "abc");
  EXPECT_EQ(semaphore.available(), 1u);
}

// Cancelled in the same round in which the head leaves: there is nobody to hand the lead to, and who comes next must
// not queue behind a waiter that is about to give up.
TEST_F(SyncTest, ALineWhoseOnlyWaiterWasCancelledIsEmpty) {
  Semaphore semaphore(1);
  Scope impatient(env);
  WaitQueue round;
  auto holder = semaphore.try_acquire(1);
  scope.spawn(hold(semaphore, 1, 1s, log, 'a'));  // the head
  env.settle();
  impatient.spawn(hold(semaphore, 1, 1s, log, 'x'));  // behind it
  auto come_later = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await round.wait());
    co_return co_await hold(semaphore, 1, 1s, log, 'f');
  };
  scope.spawn(come_later());
  env.settle();
  holder->release();   // the head is ready,
  round.wake_one();    // then the newcomer,
  impatient.cancel();  // then the one that gives up
  env.settle();
  EXPECT_EQ(log, "a");
  env.advance(1s);
  EXPECT_EQ(log, "af");
  scope.spawn(hold(semaphore, 1, 1s, log, 'g'));
  env.advance(5s);
  EXPECT_EQ(log, "afg");
  EXPECT_EQ(semaphore.available(), 1u);
  EXPECT_FALSE(semaphore.contended());
  scope.cancel();
  env.settle();
}

TEST_F(SyncTest, PermitsMoveAndAreGivenBackOnce) {
  Semaphore semaphore(2);
  {
    auto first = semaphore.try_acquire(2);
    ASSERT_TRUE(first);
    Semaphore::Permit second = std::move(*first);
    EXPECT_EQ(semaphore.available(), 0u);
    second.release();
    EXPECT_EQ(semaphore.available(), 2u);
  }
  EXPECT_EQ(semaphore.available(), 2u);
}

TEST_F(SyncTest, MutexLetsOneInAtATime) {
  Mutex mutex;
  int inside = 0, most = 0, total = 0;
  auto enter = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto lock, co_await mutex.lock());
    most = std::max(most, ++inside);
    FF_CO_TRY(co_await sleep(1ms));
    --inside;
    ++total;
    co_return {};
  };
  for (int i = 0; i < 20; ++i) scope.spawn(enter());
  env.settle();
  EXPECT_FALSE(mutex.try_lock());
  env.advance(1s);
  EXPECT_EQ(most, 1);
  EXPECT_EQ(total, 20);
  EXPECT_TRUE(mutex.try_lock());
}

TEST_F(SyncTest, EventEndsAllWaitsAndStaysSet) {
  Event event;
  auto wait = [&](char name) -> Task<Result<>> {
    FF_CO_TRY(co_await event.wait());
    log += name;
    co_return {};
  };
  scope.spawn(wait('a'));
  scope.spawn(wait('b'));
  env.settle();
  EXPECT_EQ(log, "");
  event.set();
  env.settle();
  EXPECT_EQ(log, "ab");
  scope.spawn(wait('c'));
  env.settle();
  EXPECT_EQ(log, "abc");
  event.reset();
  scope.spawn(wait('d'));
  env.settle();
  EXPECT_EQ(log, "abc");
  event.set();
  env.settle();
  EXPECT_EQ(log, "abcd");
}

TEST_F(SyncTest, ChannelIsBoundedAndKeepsOrder) {
  Channel<int> channel(2);
  int sent = 0;
  auto produce = [&]() -> Task<Result<>> {
    for (int i = 0; i < 5; ++i) {
      FF_CO_TRY(co_await channel.send(i));
      ++sent;
    }
    channel.close();
    co_return {};
  };
  scope.spawn(produce());
  env.settle();
  EXPECT_EQ(sent, 2);
  EXPECT_EQ(channel.size(), 2u);
  std::vector<int> got;
  Errc end{};
  auto consume = [&]() -> Task<void> {
    for (;;) {
      auto item = co_await channel.receive();
      if (!item) {
        end = item.error().code();
        co_return;
      }
      got.push_back(*item);
    }
  };
  scope.spawn(consume());
  env.settle();
  EXPECT_EQ(got, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(end, Errc::kCancelled);
}

TEST_F(SyncTest, ChannelCloseEndsSendersAndRefusesMore) {
  Channel<int> channel(1);
  Result<> blocked;
  auto send_two = [&]() -> Task<void> {
    (void)co_await channel.send(1);
    blocked = co_await channel.send(2);
  };
  scope.spawn(send_two());
  env.settle();
  channel.close();
  env.settle();
  EXPECT_EQ(code_of(blocked), Errc::kCancelled);
  int three = 3;
  EXPECT_FALSE(channel.try_send(three));
  EXPECT_EQ(channel.try_receive(), 1);  // what was in it can still be had
  EXPECT_EQ(channel.try_receive(), std::nullopt);
}

TEST_F(SyncTest, AnItemIsNotLostWhenItsReceiverIsCancelledMeanwhile) {
  Channel<int> channel(4);
  Scope impatient(env);
  std::vector<int> got;
  auto take = [&]() -> Task<void> {
    if (auto item = co_await channel.receive()) got.push_back(*item);
  };
  impatient.spawn(take());
  env.settle();
  int one = 1;
  ASSERT_TRUE(channel.try_send(one));
  impatient.cancel();  // after the wake, before it runs
  scope.spawn(take());
  env.settle();
  int two = 2;
  ASSERT_TRUE(channel.try_send(two));
  env.settle();
  EXPECT_EQ(got, (std::vector{1, 2}));
}

}  // namespace
}  // namespace ff::runtime
