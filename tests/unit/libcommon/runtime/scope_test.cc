#include "libcommon/runtime/scope.hpp"

#include <memory>
#include <vector>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

Task<Result<>> wait_then(Duration wait, std::string& log, char name) {
  auto slept = co_await sleep(wait);
  log += name;
  if (!slept) log += '!';
  co_return slept;
}
Task<Result<>> fail_after(Duration wait, std::string message) {
  FF_CO_TRY(co_await sleep(wait));
  co_return fail(Errc::kIo, std::move(message));
}

TEST(Scope, SpawnedTasksStartFromTheReadyQueueAndRunBesideEachOther) {
  ManualEnv env;
  std::string log;
  Scope scope(env);
  scope.spawn(wait_then(2s, log, 'b'));
  scope.spawn(wait_then(1s, log, 'a'));
  EXPECT_EQ(scope.running(), 2u);
  EXPECT_EQ(log, "");
  EXPECT_TRUE(env.run(scope.join()));
  EXPECT_EQ(log, "ab");
}

TEST(Scope, TheFirstErrorCancelsTheRestAndIsWhatJoinGives) {
  ManualEnv env;
  std::string log;
  Scope scope(env);
  const Time start = env.now();
  scope.spawn(wait_then(1h, log, 'a'));
  scope.spawn(fail_after(1s, "broken"));
  scope.spawn(fail_after(2s, "never reached"));
  auto joined = env.run(scope.join());
  EXPECT_EQ(code_of(joined), Errc::kIo);
  EXPECT_EQ(joined.error().message(), "broken");
  EXPECT_EQ(log, "a!");
  EXPECT_EQ(env.now(), start + 1s);
}

TEST(Scope, TasksThatEndByCancellationAreNoError) {
  ManualEnv env;
  std::string log;
  Scope scope(env);
  scope.spawn(wait_then(1h, log, 'a'));
  env.settle();
  scope.cancel();
  EXPECT_TRUE(env.run(scope.join()));
  EXPECT_EQ(log, "a!");
}

TEST(Scope, JoinWaitsForTheTasksEvenWhenCancelledItself) {
  ManualEnv env;
  std::string log;
  auto slow_to_stop = [&]() -> Task<void> {
    (void)co_await sleep(1h);
    co_await yield();
    log += "stopped ";
  };
  auto parent = [&]() -> Task<Result<>> {
    Scope scope(co_await current_context());
    scope.spawn(slow_to_stop());
    auto joined = co_await scope.join();
    log += "joined";
    co_return joined;
  };
  EXPECT_TRUE(env.run(with_timeout(1s, "parent", parent())));
  EXPECT_EQ(log, "stopped joined");
}

TEST(Scope, JoinWaitsForWhatIsSpawnedBetweenTheLastEndAndItsWaking) {
  ManualEnv env;
  std::string log;
  Scope scope(env);
  WaitQueue both;
  auto member = [&]() -> Task<Result<>> { co_return co_await both.wait(); };
  auto outsider = [&]() -> Task<void> {
    (void)co_await both.wait();
    scope.spawn(wait_then(1s, log, 'x'));
  };
  Scope others(env);
  scope.spawn(member());
  others.spawn(outsider());
  bool joined = false;
  auto joiner = [&]() -> Task<void> {
    (void)co_await scope.join();
    joined = true;
  };
  others.spawn(joiner());
  env.settle();
  both.wake_all();  // the member ends, then the outsider spawns, then join runs
  env.settle();
  EXPECT_FALSE(joined);
  env.advance(1s);
  EXPECT_TRUE(joined);
  EXPECT_EQ(log, "x");
}

TEST(Scope, TasksThatEndTwiceBeforeJoinRunsWakeItOnce) {
  ManualEnv env;
  Scope scope(env), others(env);
  WaitQueue both;
  auto member = [&]() -> Task<Result<>> { co_return co_await both.wait(); };
  auto nothing = []() -> Task<Result<>> { co_return {}; };
  auto outsider = [&]() -> Task<void> {
    (void)co_await both.wait();
    scope.spawn(nothing());
  };
  int joined = 0;
  auto joiner = [&]() -> Task<void> {
    (void)co_await scope.join();
    ++joined;
  };
  scope.spawn(member());
  others.spawn(outsider());
  others.spawn(joiner());
  env.settle();
  both.wake_all();
  env.run_oldest();  // the member ends, which makes the joiner ready
  env.run_oldest();  // the outsider spawns what ends before the joiner runs
  env.settle_newest_first();
  EXPECT_EQ(joined, 1);
  EXPECT_EQ(scope.running(), 0u);
}

TEST(Scope, DestroyedWithRunningTasksIsABug) {
  auto leave = [] {
    ManualEnv env;
    std::string log;
    Scope scope(env);
    scope.spawn(wait_then(1s, log, 'a'));
    env.settle();
  };
  EXPECT_DEATH(leave(), "running_ == 0");
}

TEST(Scope, AKilledNodesFramesAreDestroyedAsTheyStand) {
  ManualEnv env;
  auto token = std::make_shared<int>(0);
  auto hold = [](std::shared_ptr<int>) -> Task<Result<>> { co_return co_await sleep(1h); };
  {
    KillGuard killing;
    Scope scope(env);
    for (int i = 0; i < 10; ++i) scope.spawn(hold(token));
    env.settle();
    scope.spawn(hold(token));  // not started yet
    EXPECT_EQ(token.use_count(), 12);
  }
  EXPECT_EQ(token.use_count(), 1);
  env.advance(2h);
}

TEST(WithScope, CancelsTheTasksWhenTheBodyFails) {
  ManualEnv env;
  std::string log;
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(wait_then(1h, log, 'a'));
    FF_CO_TRY(co_await sleep(1s));
    co_return fail(Errc::kCorrupt, "body");
  };
  auto result = env.run(with_scope(body));
  EXPECT_EQ(code_of(result), Errc::kCorrupt);
  EXPECT_EQ(log, "a!");
}

TEST(WithScope, ATasksErrorEndsTheBody) {
  ManualEnv env;
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(fail_after(1s, "task"));
    co_return co_await sleep(1h);
  };
  auto result = env.run(with_scope(body));
  EXPECT_EQ(result.error().message(), "task");
}

TEST(WithTimeout, EndsTheWaitAndNamesTheOperation) {
  ManualEnv env;
  const Time start = env.now();
  auto late = env.run(with_timeout(2s, "fetch", later(5s, 1)));
  EXPECT_EQ(code_of(late), Errc::kTimeout);
  EXPECT_EQ(late.error().message(), "fetch: deadline passed");
  EXPECT_EQ(env.now(), start + 2s);
  EXPECT_EQ(*env.run(with_timeout(2s, "fetch", later(1s, 7))), 7);
}

Task<Result<int>> remaining_seconds() {
  Context& context = co_await current_context();
  co_return std::chrono::duration_cast<std::chrono::seconds>(context.deadline() - context.env().now()).count();
}

TEST(WithTimeout, PassesTheEarlierDeadlineOn) {
  ManualEnv env;
  EXPECT_EQ(*env.run(with_timeout(3s, "outer", with_timeout(10s, "inner", remaining_seconds()))), 3);
  EXPECT_EQ(*env.run(with_timeout(10s, "outer", with_timeout(3s, "inner", remaining_seconds()))), 3);
  auto outer_first = env.run(with_timeout(1s, "outer", with_timeout(2s, "inner", later(1h, 1))));
  EXPECT_EQ(outer_first.error().message(), "outer: deadline passed");
}

TEST(WithDeadline, EndsAtTheMoment) {
  ManualEnv env;
  const Time when = env.now() + 4s;
  EXPECT_EQ(code_of(env.run(with_deadline(when, "op", later(1h, 1)))), Errc::kTimeout);
  EXPECT_EQ(env.now(), when);
}

TEST(WhenAll, GivesAllValuesAndDoesNotStopForErrors) {
  ManualEnv env;
  const Time start = env.now();
  auto [a, b, c] = env.run(when_all(later(2s, 1), fail_later(1s, Errc::kIo, "b"), later(3s, 3)));
  EXPECT_EQ(*a, 1);
  EXPECT_EQ(code_of(b), Errc::kIo);
  EXPECT_EQ(*c, 3);
  EXPECT_EQ(env.now(), start + 3s);

  std::vector<Task<Result<int>>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(later(Duration(5 - i), i));
  auto values = env.run(when_all(std::move(tasks)));
  ASSERT_EQ(values.size(), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*values[static_cast<std::size_t>(i)], i);
}

TEST(WhenAny, GivesTheFirstAndCancelsTheOthers) {
  ManualEnv env;
  const Time start = env.now();
  std::vector<Task<Result<int>>> tasks;
  tasks.push_back(later(9s, 9));
  tasks.push_back(later(3s, 3));
  tasks.push_back(later(6s, 6));
  auto first = env.run(when_any(std::move(tasks)));
  EXPECT_EQ(first.index, 1u);
  EXPECT_EQ(*first.value, 3);
  EXPECT_EQ(env.now(), start + 3s);
}

}  // namespace
}  // namespace ff::runtime
