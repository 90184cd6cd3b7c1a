#include "libcommon/rpc/grant_scheduler.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/virtual_env.hpp"

namespace ff::rpc {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kMiB = 1u << 20;

struct Listener final : GrantScheduler::Owner {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> grants;
  explicit Listener(GrantScheduler& scheduler) { grant_peer = scheduler.new_peer(); }
  void grant(std::uint64_t call, std::uint32_t grant) override { grants.emplace_back(call, grant); }
};
GrantWindowOptions one_mib() {
  return {.window_bytes_min = kMiB, .window_bytes_initial = kMiB, .window_bytes_max = kMiB};
}

TEST(GrantScheduler, GrantsToTheOwnerThatAskedInTurn) {
  ff::tests::VirtualEnv env;
  GrantScheduler scheduler(env, one_mib());
  Listener a(scheduler), b(scheduler);
  EXPECT_TRUE(scheduler.ask(a, 10, 1, kMiB));
  EXPECT_TRUE(scheduler.ask(b, 20, 1, kMiB));
  EXPECT_EQ(a.grants.size(), 1u);
  EXPECT_TRUE(b.grants.empty());
  scheduler.done(a, 10, 1);
  EXPECT_EQ(b.grants, (decltype(b.grants){{20, 1}}));
}

TEST(GrantScheduler, DropsAllOfACallThatEnds) {
  ff::tests::VirtualEnv env;
  GrantScheduler scheduler(env, one_mib());
  Listener a(scheduler);
  for (std::uint32_t i = 1; i <= 3; ++i) EXPECT_TRUE(scheduler.ask(a, 10, i, kMiB));
  EXPECT_TRUE(scheduler.ask(a, 11, 1, kMiB));
  scheduler.drop(a, 10);
  EXPECT_EQ(a.grants.back(), std::pair(std::uint64_t{11}, 1u));
  EXPECT_EQ(scheduler.window().waiting(), 0u);
}

TEST(GrantScheduler, RefusesRepeatedAndTooManyAsks) {
  ff::tests::VirtualEnv env;
  GrantScheduler scheduler(env, one_mib());
  Listener a(scheduler);
  EXPECT_TRUE(scheduler.ask(a, 10, 1, kMiB));
  EXPECT_FALSE(scheduler.ask(a, 10, 1, kMiB));
  for (std::uint32_t i = 2; i <= GrantScheduler::kAsksMax; ++i) EXPECT_TRUE(scheduler.ask(a, 10, i, kMiB));
  EXPECT_FALSE(scheduler.ask(a, 10, 99, kMiB));
}

TEST(GrantScheduler, GoesOnByItselfWhenASenderIsSilent) {
  ff::tests::VirtualEnv env;
  GrantScheduler scheduler(env, one_mib());
  Listener a(scheduler), b(scheduler);
  EXPECT_TRUE(scheduler.ask(a, 1, 1, kMiB));
  EXPECT_TRUE(scheduler.ask(b, 1, 1, kMiB));
  env.run([]() -> runtime::Task<int> {
    (void)co_await runtime::sleep(600ms);
    co_return 0;
  }());
  EXPECT_EQ(b.grants.size(), 1u);
}

TEST(GrantScheduler, IsOneForEachEnvWhileItIsHeld) {
  ff::tests::VirtualEnv env, other;
  const auto one = GrantScheduler::of(env);
  EXPECT_EQ(GrantScheduler::of(env), one);
  EXPECT_NE(GrantScheduler::of(other), one);
}

}  // namespace
}  // namespace ff::rpc
