// What a stop does to a task that looks at it, and to one that waits for what never comes.
#include "ffbench/ffs/until_stopped.hpp"

#include <gtest/gtest.h>

#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

struct Outcome {
  Result<int> value = 0;
  runtime::Duration took{0};
};

template <class F>
Outcome run(std::stop_token stop, F body) {
  testing::SimWorld world(1);
  world.add_node();
  Outcome outcome;
  world.start(0, [&](testing::SimEnv& env) -> Task<Result<>> {
    const auto begin = env.now();
    outcome.value = co_await until_stopped(stop, body(env));
    outcome.took = env.now() - begin;
    co_return {};
  });
  EXPECT_TRUE(world.run_until([&] { return world.exited(0); }, 100h));
  return outcome;
}

TEST(UntilStopped, GivesTheValueAtOnceWhenNobodyStops) {
  const Outcome outcome = run({}, [](runtime::Env&) -> Task<Result<int>> {
    FF_CO_TRY(co_await runtime::sleep(300ms));
    co_return 7;
  });
  ASSERT_TRUE(outcome.value);
  EXPECT_EQ(*outcome.value, 7);
  EXPECT_GE(outcome.took, 300ms);
  EXPECT_LT(outcome.took, 310ms);
}

TEST(UntilStopped, GivesAnErrorOfTheTaskAsItIs) {
  const Outcome outcome =
      run({}, [](runtime::Env&) -> Task<Result<int>> { co_return fail(Errc::kCorrupt, "as it is"); });
  ASSERT_FALSE(outcome.value);
  EXPECT_EQ(outcome.value.error().message(), "as it is");
}

TEST(UntilStopped, LeavesATaskTheTimeToEndInItsOwnWay) {
  std::stop_source stop;
  stop.request_stop();
  const Outcome outcome = run(stop.get_token(), [](runtime::Env&) -> Task<Result<int>> {
    FF_CO_TRY(co_await runtime::sleep(kStopGrace / 2));  // what was under way
    co_return 7;
  });
  ASSERT_TRUE(outcome.value) << outcome.value.error().message();
  EXPECT_EQ(*outcome.value, 7);
}

TEST(UntilStopped, EndsATaskThatWaitsForWhatNeverComes) {
  std::stop_source stop;
  const Outcome outcome = run(stop.get_token(), [&](runtime::Env&) -> Task<Result<int>> {
    FF_CO_TRY(co_await runtime::sleep(5s));
    stop.request_stop();
    FF_CO_TRY(co_await runtime::sleep(50h));
    co_return 7;
  });
  ASSERT_FALSE(outcome.value);
  EXPECT_EQ(outcome.value.error().code(), Errc::kCancelled);
  EXPECT_GE(outcome.took, 5s + kStopGrace);
  EXPECT_LE(outcome.took, 5s + kStopGrace + 2 * kStopSeen);
}

}  // namespace
}  // namespace ff::bench
