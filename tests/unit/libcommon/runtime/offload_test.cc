#include "libcommon/runtime/offload.hpp"

#include <atomic>
#include <latch>
#include <thread>

#include "tests/unit/libcommon/runtime/real_env_fixture.hpp"

namespace ff::runtime {
namespace {

using OffloadTest = RealEnvTest;
FF_TEST_ON_BOTH_BACKENDS(OffloadTest);

TEST_P(OffloadTest, RunsOnAnotherThreadAndGivesTheValue) {
  auto program = [&]() -> Task<Result<std::thread::id>> {
    co_return co_await offload(env(), [] { return std::this_thread::get_id(); });
  };
  auto id = run(program());
  ASSERT_TRUE(id);
  EXPECT_NE(*id, std::this_thread::get_id());
}

TEST_P(OffloadTest, BlockingWorkDoesNotHoldTheEnvUp) {
  std::latch release(1);
  bool ticked = false;
  auto blocked = [&]() -> Task<Result<>> { co_return co_await offload(env(), [&] { release.wait(); }); };
  auto ticker = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await sleep(1ms));
    ticked = true;
    release.count_down();
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(blocked());
    scope.spawn(ticker());
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_TRUE(ticked);
}

TEST_P(OffloadTest, AFullQueueRefusesAndTheRestStillRuns) {
  make({.offload_threads = 1, .offload_queue = 2});
  std::latch release(1);
  std::atomic<bool> begun = false;
  std::atomic<int> ran = 0;
  int refused = 0;
  auto first = [&]() -> Task<Result<>> {
    co_return co_await offload(env(), [&] {
      begun = true;
      release.wait();
    });
  };
  auto one = [&]() -> Task<Result<>> {
    auto result = co_await offload(env(), [&] { ++ran; });
    if (!result) {
      EXPECT_EQ(result.error().code(), Errc::kExhausted);
      ++refused;
    }
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(first());
    while (!begun) FF_CO_TRY(co_await sleep(1ms));
    for (int i = 0; i < 5; ++i) scope.spawn(one());
    FF_CO_TRY(co_await sleep(5ms));
    release.count_down();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(refused, 3);
}

TEST_P(OffloadTest, CancelledBeforeAThreadBeganItDoesNotRun) {
  make({.offload_threads = 1});
  std::latch release(1);
  std::atomic<bool> begun = false, second_ran = false;
  auto first = [&]() -> Task<Result<>> {
    co_return co_await offload(env(), [&] {
      begun = true;
      release.wait();
    });
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(first());
    while (!begun) FF_CO_TRY(co_await sleep(1ms));
    auto second = co_await with_timeout(5ms, "second", offload(env(), [&] { second_ran = true; }));
    EXPECT_EQ(code_of(second), Errc::kTimeout);
    release.count_down();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_FALSE(second_ran);
}

TEST_P(OffloadTest, CancelledAfterItBeganIsWaitedFor) {
  std::latch release(1);
  std::atomic<bool> ended = false;
  std::jthread other;
  auto program = [&]() -> Task<Result<>> {
    other = std::jthread([&] {
      std::this_thread::sleep_for(30ms);
      release.count_down();
    });
    auto result = co_await with_timeout(5ms, "work", offload(env(), [&] {
                                          release.wait();
                                          ended = true;
                                        }));
    EXPECT_TRUE(ended);
    EXPECT_TRUE(result);  // it has run, so that is what it says
    co_return {};
  };
  expect_ok(program());
}

TEST_P(OffloadTest, ManyJobsOfManyTasksAllComeBack) {
  make({.offload_threads = 3, .offload_queue = 1 << 16});
  std::atomic<int> ran = 0;
  int back = 0;
  auto many = [&]() -> Task<Result<>> {
    for (int i = 0; i < 200; ++i) {
      FF_CO_TRY(co_await offload(env(), [&] { ++ran; }));
      ++back;
    }
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    for (int i = 0; i < 20; ++i) scope.spawn(many());
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(ran, 4000);
  EXPECT_EQ(back, 4000);
}

}  // namespace
}  // namespace ff::runtime
