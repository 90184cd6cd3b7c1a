#include "libcommon/runtime/real_env.hpp"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/libcommon/runtime/real_env_fixture.hpp"

namespace ff::runtime {
namespace {

FF_TEST_ON_BOTH_BACKENDS(RealEnvTest);

Task<Result<int>> later(Duration wait, int value) {
  FF_CO_TRY(co_await sleep(wait));
  co_return value;
}

TEST_P(RealEnvTest, RunGivesWhatTheTaskReturnsAndMayBeCalledAgain) {
  EXPECT_EQ(*run(later(1ms, 5)), 5);
  EXPECT_EQ(*run(later(1ms, 6)), 6);
  EXPECT_EQ(env().backend(), GetParam());
  EXPECT_EQ(env().fallback_reason(), "");
}

TEST_P(RealEnvTest, SleepsAsLongAsAskedOnTheMonotonicClock) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(run(later(30ms, 0)));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_P(RealEnvTest, ThousandsOfTimersEndInTheirOrder) {
  std::vector<int> order;
  auto nap = [&](int i) -> Task<Result<>> {
    FF_CO_TRY(co_await sleep_until(Time(Duration(1000 * i))));  // long past: due at once, in this order
    order.push_back(i);
    co_return {};
  };
  auto all = [&](Scope& scope) -> Task<Result<>> {
    for (int i = 4999; i >= 0; --i) scope.spawn(nap(i));
    co_return {};
  };
  expect_ok(with_scope(all));
  ASSERT_EQ(order.size(), 5000u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_P(RealEnvTest, PostsOfManyThreadsAllRunOnceOnTheEnvsThread) {
  constexpr int kThreads = 4, kPosts = 2000;
  std::set<std::thread::id> ran_on;
  int ran = 0;
  Event done;
  std::vector<std::jthread> threads;
  auto program = [&]() -> Task<Result<>> {
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kPosts; ++i) {
          EXPECT_TRUE(env().post([&] {
            ran_on.insert(std::this_thread::get_id());
            if (++ran == kThreads * kPosts) done.set();
          }));
          if (i % 100 == 0) std::this_thread::sleep_for(100us);  // so that the reactor sleeps now and then
        }
      });
    }
    co_return co_await done.wait();
  };
  expect_ok(program());
  threads.clear();
  EXPECT_EQ(ran, kThreads * kPosts);
  EXPECT_EQ(ran_on, std::set{std::this_thread::get_id()});
}

TEST_P(RealEnvTest, APostWakesASleepingEnv) {
  Event woken;
  std::jthread other;
  auto program = [&]() -> Task<Result<>> {
    other = std::jthread([&] {
      std::this_thread::sleep_for(30ms);
      env().post([&] { woken.set(); });
    });
    co_return co_await woken.wait();
  };
  expect_ok(program());
}

TEST_P(RealEnvTest, PostsAreTakenBeforeRunAndRefusedAfterIt) {
  int ran = 0;
  EXPECT_TRUE(env().post([&] { ++ran; }));
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(run(later(0ms, 0)));
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(env().post([&] { ++ran; }));
  EXPECT_TRUE(run(later(0ms, 0)));
  EXPECT_EQ(ran, 1);
}

TEST_P(RealEnvTest, APostThatWasTakenHasRunWhenRunReturns) {
  // A thread posts without pause while runs end: every post that said yes must have happened.
  std::atomic<bool> stop = false;
  std::atomic<int> taken = 0;
  int ran = 0;
  std::jthread other([&] {
    while (!stop) taken += env().post([&] { ++ran; }) ? 1 : 0;
  });
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(run(later(100us, 0)));
  stop = true;
  other.join();
  EXPECT_EQ(ran, taken);
}

TEST_P(RealEnvTest, StopCancelsTheRootAndRunReturnsWhatMainThenReturns) {
  std::jthread other([&] {
    std::this_thread::sleep_for(20ms);
    env().stop();
  });
  auto result = env().run(later(1h, 0));
  EXPECT_EQ(code_of(result), Errc::kCancelled);
  EXPECT_EQ(code_of(env().run(later(1h, 0))), Errc::kCancelled);  // stopped for good
}

RealEnv* signalled = nullptr;

TEST_P(RealEnvTest, StopMayBeCalledBySignalHandlers) {
  signalled = &env();
  struct sigaction action{}, before{};
  action.sa_handler = [](int) { signalled->stop(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t reactor = ::pthread_self();
  std::jthread other([&] {
    std::this_thread::sleep_for(20ms);
    ::pthread_kill(reactor, SIGUSR1);
  });
  EXPECT_EQ(code_of(env().run(later(1h, 0))), Errc::kCancelled);
  other.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(RealEnvTest, SignalsThatDoNotStopItDoNotDisturbIt) {
  struct sigaction action{}, before{};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t reactor = ::pthread_self();
  std::atomic<bool> stop = false;
  std::jthread other([&] {
    while (!stop) {
      ::pthread_kill(reactor, SIGUSR1);
      std::this_thread::sleep_for(200us);
    }
  });
  auto [a, b] = socket_pair();
  auto program = [&]() -> Task<Result<>> {
    for (int i = 0; i < 50; ++i) {
      FF_CO_TRY(co_await sleep(1ms));
      FF_CO_TRY(co_await write_text(*a, "x"));
      FF_CO_TRY(co_await b->receive());
    }
    co_return {};
  };
  expect_ok(program());
  stop = true;
  other.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(RealEnvTest, BusyTasksDoNotKeepTimersOrTheKernelWaiting) {
  bool ended = false;
  auto spin = [&]() -> Task<Result<>> {
    while (!ended) co_await yield();
    co_return {};
  };
  auto [a, b] = socket_pair();
  auto work = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await sleep(5ms));
    FF_CO_TRY(co_await write_text(*a, "x"));
    FF_CO_TRY(co_await b->receive());
    ended = true;
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(spin());
    scope.spawn(work());
    co_return {};
  };
  expect_ok(with_scope(body));
}

TEST_P(RealEnvTest, SpinningBeforeSleepingChangesNothing) {
  make({.spin = 200us});
  EXPECT_EQ(*run(later(2ms, 1)), 1);
  std::jthread other;
  Event woken;
  auto program = [&]() -> Task<Result<>> {
    other = std::jthread([&] { env().post([&] { woken.set(); }); });
    co_return co_await woken.wait();
  };
  expect_ok(program());
}

TEST_P(RealEnvTest, RunsOnTheCpuAskedFor) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) last = CPU_ISSET(cpu, &before) ? cpu : last;
  make({.cpu = last});
  auto where = []() -> Task<Result<int>> { co_return ::sched_getcpu(); };
  EXPECT_EQ(*run(where()), last);
  ::sched_setaffinity(0, sizeof before, &before);
}

TEST_P(RealEnvTest, MayBeCreatedOnOneThreadAndRunOnAnother) {
  int value = 0;
  std::thread other([&] { value = *run(later(1ms, 3)); });
  other.join();
  EXPECT_EQ(value, 3);
}

TEST_P(RealEnvTest, EveryEnvHasItsOwnIdAndSeed) {
  const auto id = env().id();
  const auto number = env().rng().next();
  make({});
  EXPECT_NE(env().id(), id);
  EXPECT_NE(env().rng().next(), number);
}

TEST(RealEnvOptions, AreRefusedWhenOutOfRangeWithTheRange) {
  const auto refused = [](RealEnvOptions options, const char* name) {
    for (const Backend backend : {Backend::kAuto, Backend::kUring, Backend::kEpoll}) {
      options.backend = backend;
      auto env = RealEnv::create(options);
      ASSERT_FALSE(env) << name;
      EXPECT_EQ(env.error().code(), Errc::kInvalidArgument);
      EXPECT_NE(env.error().message().find(name), std::string::npos) << env.error().message();
    }
  };
  refused({.queue_entries = 0}, "queue_entries");
  refused({.queue_entries = 1 << 20}, "queue_entries");
  refused({.offload_threads = 0}, "offload_threads");
  refused({.offload_queue = 0}, "offload_queue");
  refused({.receive_buffers = 0}, "receive_buffers");
  refused({.receive_buffer_bytes = 1}, "receive_buffer_bytes");
  refused({.spin = -1ns}, "spin");
  refused({.cpu = 1 << 20}, "cpu");
}

TEST(RealEnvOptions, AnyNumberOfReceiveBuffersWillDo) {
  for (const std::uint32_t count : {1u, 3u, 100u}) {
    EXPECT_TRUE(RealEnv::create({.receive_buffers = count, .receive_buffer_bytes = 100}));
  }
}

}  // namespace
}  // namespace ff::runtime
