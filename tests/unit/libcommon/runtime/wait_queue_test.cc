#include "libcommon/runtime/wait_queue.hpp"

#include <vector>

#include "tests/unit/libcommon/runtime/manual_env.hpp"

namespace ff::runtime {
namespace {

Task<void> wait_and_log(WaitQueue& queue, std::vector<std::string>& log, std::string name) {
  auto result = co_await queue.wait();
  log.push_back(name + (result ? "" : ": " + result.error().message()));
}

struct WaitQueueTest : testing::Test {
  void add(Scope& to, const char* name) {
    to.spawn(wait_and_log(queue, log, name));
    env.settle();
  }
  ManualEnv env;
  WaitQueue queue;
  std::vector<std::string> log;
  Scope scope{env};
};

TEST_F(WaitQueueTest, WakesInTheOrderOfWaiting) {
  EXPECT_FALSE(queue.wake_one());
  for (const char* name : {"a", "b", "c"}) add(scope, name);
  EXPECT_TRUE(queue.wake_one());
  EXPECT_TRUE(log.empty());  // made ready, not run inside the call
  env.settle();
  EXPECT_EQ(log, std::vector<std::string>{"a"});
  queue.wake_all();
  env.settle();
  EXPECT_EQ(log, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(queue.empty());
}

TEST_F(WaitQueueTest, ACancelledWaitLeavesTheLine) {
  Scope other(env);
  add(other, "cancelled");
  add(scope, "b");
  other.cancel(Error(Errc::kTimeout, "too late"));
  EXPECT_TRUE(queue.wake_one());
  env.settle();
  EXPECT_EQ(log, (std::vector<std::string>{"cancelled: too late", "b"}));
}

TEST_F(WaitQueueTest, AWaitThatWasWokenStaysWoken) {
  Scope other(env);
  add(other, "a");
  queue.wake_one();
  other.cancel();
  env.settle();
  EXPECT_EQ(log, std::vector<std::string>{"a"});
}

TEST_F(WaitQueueTest, ACancelledContextDoesNotWaitAtAll) {
  Scope other(env);
  other.cancel(Error(Errc::kCancelled, "over"));
  add(other, "a");
  EXPECT_EQ(log, std::vector<std::string>{"a: over"});
}

TEST_F(WaitQueueTest, FailAllGivesEveryWaitTheError) {
  add(scope, "a");
  add(scope, "b");
  queue.fail_all(Error(Errc::kUnavailable, "gone"));
  env.settle();
  EXPECT_EQ(log, (std::vector<std::string>{"a: gone", "b: gone"}));
}

}  // namespace
}  // namespace ff::runtime
