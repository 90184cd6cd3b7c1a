#include "libcommon/runtime/task.hpp"

#include <memory>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

Task<int> mark(bool& ran) {
  ran = true;
  co_return 1;
}

TEST(Task, DoesNothingUntilAwaited) {
  bool ran = false;
  {
    auto task = mark(ran);
  }
  EXPECT_FALSE(ran);
  ManualEnv env;
  EXPECT_EQ(env.run(mark(ran)), 1);
  EXPECT_TRUE(ran);
}

Task<std::unique_ptr<int>> move_only() { co_return std::make_unique<int>(7); }

TEST(Task, GivesMoveOnlyValues) {
  ManualEnv env;
  EXPECT_EQ(*env.run(move_only()), 7);
}

TEST(Task, AssignmentDestroysTheOldFrame) {
  auto token = std::make_shared<int>(1);
  auto hold = [](std::shared_ptr<int> held) -> Task<int> { co_return *held; };
  auto task = hold(token);
  EXPECT_EQ(token.use_count(), 2);
  task = hold(nullptr);
  EXPECT_EQ(token.use_count(), 1);
}

Task<int> one() { co_return 1; }
Task<int> count_to(int n) {
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += co_await one();
  co_return sum;
}
Task<int> nest(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await nest(depth - 1);
}

TEST(Task, AwaitingManyOrDeeplyDoesNotGrowTheStack) {
  ManualEnv env;
  EXPECT_EQ(env.run(count_to(300'000)), 300'000);
  EXPECT_EQ(env.run(nest(50'000)), 50'000);
}

Task<std::uint64_t> trace_of() { co_return (co_await current_context()).trace(); }
Task<std::pair<std::uint64_t, std::uint64_t>> traces() {
  Context other((co_await current_context()).env(), 9);
  co_return std::pair(co_await trace_of(), co_await trace_of().under(other));
}

TEST(Task, RunsUnderTheAwaitersContextOrTheGivenOne) {
  ManualEnv env;
  EXPECT_EQ(env.run(traces()), (std::pair<std::uint64_t, std::uint64_t>(0, 9)));
}

Task<Result<int>> doubled(Task<Result<int>> input) {
  FF_CO_TRY_ASSIGN(const int n, co_await std::move(input));
  FF_CO_TRY_CTX(n == 3 ? Result<>(fail(Errc::kCorrupt, "three")) : Result<>(), "checking");
  co_return 2 * n;
}

TEST(Task, TheMacrosPassErrorsOn) {
  ManualEnv env;
  EXPECT_EQ(*env.run(doubled(later(1s, 4))), 8);
  EXPECT_EQ(env.run(doubled(fail_later(1s, Errc::kNotFound, "no"))).error().message(), "no");
  EXPECT_EQ(env.run(doubled(later(1s, 3))).error().message(), "checking: three");
}

TEST(Task, DestroyedWhileSuspendedDestroysWhatItAwaits) {
  ManualEnv env;
  auto token = std::make_shared<int>(1);
  auto inner = [](std::shared_ptr<int>) -> Task<Result<>> { co_return co_await sleep(1h); };
  auto outer = [&](std::shared_ptr<int> held) -> Task<Result<>> { co_return co_await inner(held); };
  {
    KillGuard killing;
    Scope scope(env);
    scope.spawn(outer(token));
    env.settle();
    EXPECT_EQ(token.use_count(), 3);
  }
  EXPECT_EQ(token.use_count(), 1);
  env.advance(2h);  // the timer of the destroyed sleep is gone
}

}  // namespace
}  // namespace ff::runtime
