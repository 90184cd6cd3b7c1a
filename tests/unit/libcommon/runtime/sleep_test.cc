#include "libcommon/runtime/sleep.hpp"

#include <vector>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

TEST(Sleep, EndsAtItsTimeAndNotBefore) {
  ManualEnv env;
  const Time start = env.now();
  Scope scope(env);
  bool done = false;
  auto nap = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await sleep(10ms));
    done = true;
    co_return {};
  };
  scope.spawn(nap());
  env.advance(10ms - 1ns);
  EXPECT_FALSE(done);
  env.advance(1ns);
  EXPECT_TRUE(done);
  EXPECT_EQ(env.now(), start + 10ms);
}

Task<Result<>> until(Time when) { co_return co_await sleep_until(when); }

TEST(Sleep, UntilAMomentThatHasPassedEndsAtOnce) {
  ManualEnv env;
  const Time start = env.now();
  EXPECT_TRUE(env.run(until(start - 1h)));
  EXPECT_EQ(env.now(), start);
}

TEST(Sleep, AVeryLongSleepIsOneThatOnlyCancellationEnds) {
  ManualEnv env;
  Scope scope(env);
  Result<> result;
  auto nap = [&]() -> Task<void> { result = co_await sleep(Duration::max()); };
  scope.spawn(nap());
  env.advance(std::chrono::hours(24 * 365));
  EXPECT_EQ(scope.running(), 1u);
  scope.cancel(Error(Errc::kCancelled, "wake up"));
  env.settle();
  EXPECT_EQ(code_of(result), Errc::kCancelled);
}

TEST(Yield, LetsAllOthersRunFirst) {
  ManualEnv env;
  Scope scope(env);
  std::string log;
  auto run = [&](char name) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      log += name;
      co_await yield();
    }
  };
  scope.spawn(run('a'));
  scope.spawn(run('b'));
  env.settle();
  EXPECT_EQ(log, "ababab");
}

Task<Result<>> check() { co_return co_await not_cancelled(); }

TEST(NotCancelled, SaysWhetherTheContextIs) {
  ManualEnv env;
  EXPECT_TRUE(env.run(check()));
  Context cancelled(env);
  cancelled.cancel(Error(Errc::kTimeout, "late"));
  auto under = [&]() -> Task<Result<>> { co_return co_await check().under(cancelled); };
  EXPECT_EQ(code_of(env.run(under())), Errc::kTimeout);
}

}  // namespace
}  // namespace ff::runtime
