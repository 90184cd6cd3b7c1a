#include "hfreduce/call_queue.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce {
namespace {

std::shared_ptr<Request::State> state() { return std::make_shared<Request::State>(); }

TEST(CallQueue, StopRunsWhatIsQueuedInOrderAndMayBeRepeated) {
  CallQueue queue;
  std::vector<int> ran;
  const CallQueue::States states{state(), state()};
  for (int i = 0; i < 10; ++i)
    queue.push(
        [&ran, i]() -> Result<> {
          ran.push_back(i);
          return {};
        },
        i == 9 ? states : CallQueue::States{});
  queue.stop();
  queue.stop();
  EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  for (const auto& s : states) EXPECT_TRUE(Request(s).wait().has_value());
}

TEST(CallQueue, AClaimEndsWithItsScopeHoweverThatEnds) {
  CallQueue queue;
  try {
    const CallQueue::Claim claim(queue);
    ASSERT_TRUE(claim);
    EXPECT_FALSE(CallQueue::Claim(queue)) << "one holder at a time";
    throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
  }
  EXPECT_TRUE(CallQueue::Claim(queue));
}

TEST(CallQueue, QueuedWorkWaitsForTheClaim) {
  CallQueue queue;
  const auto s = state();
  {
    const CallQueue::Claim claim(queue);
    queue.push([]() -> Result<> { return fail(Errc::kIo, "x"); }, {s});
    EXPECT_FALSE(CallQueue::Claim(queue)) << "what is queued comes first";
    EXPECT_FALSE(Request(s).done());
  }
  EXPECT_EQ(Request(s).wait().error().code(), Errc::kIo);
}

TEST(Request, OfAnOpenGroupCannotBeWaitedFor) {
  const auto s = state();
  s->collected = true;
  EXPECT_EQ(Request(s).wait().error().code(), Errc::kInvalidArgument);
  CallQueue queue;
  queue.push([]() -> Result<> { return {}; }, {s});
  EXPECT_TRUE(Request(s).wait().has_value());
}

}  // namespace
}  // namespace ff::hfreduce
