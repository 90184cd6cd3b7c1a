#include "libcommon/runtime/timer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::runtime {
namespace {

Time at(std::int64_t ns) { return Time(Duration(ns)); }

struct Recorder : Timer {
  Recorder(std::vector<int>& log, int name) : log_(log), name_(name) {}
  void expired() override { log_.push_back(name_); }
  std::vector<int>& log_;
  int name_;
};

TEST(TimerQueue, ExpiresInTheOrderOfTimeThenOfArming) {
  // Ten thousand timers on a thousand moments, some of which are disarmed again; the expected order comes from sorting
  // pairs of moment and number.
  Rng rng(7);
  TimerQueue queue;
  std::vector<int> log;
  std::vector<std::unique_ptr<Recorder>> timers;
  std::vector<std::pair<Time, int>> expected;
  for (int i = 0; i < 10'000; ++i) {
    const Time when = at(static_cast<std::int64_t>(rng.below(1000)));
    timers.push_back(std::make_unique<Recorder>(log, i));
    queue.arm(*timers.back(), when);
    expected.emplace_back(when, i);
  }
  for (int i = 0; i < 10'000; i += 3) timers[static_cast<std::size_t>(i)]->disarm();
  std::erase_if(expected, [](const auto& entry) { return entry.second % 3 == 0; });
  std::ranges::sort(expected);
  EXPECT_EQ(queue.size(), expected.size());
  EXPECT_EQ(queue.next(), expected.front().first);

  std::size_t count = 0;
  for (std::int64_t now = 0; now < 1000; now += 10) count += queue.expire(at(now + 9));
  EXPECT_EQ(count, expected.size());
  EXPECT_EQ(queue.next(), kNever);
  ASSERT_EQ(log.size(), expected.size());
  for (std::size_t i = 0; i < log.size(); ++i) ASSERT_EQ(log[i], expected[i].second) << i;
}

TEST(TimerQueue, LeavesWhatIsNotDue) {
  TimerQueue queue;
  std::vector<int> log;
  Recorder early(log, 1), late(log, 2);
  queue.arm(late, at(11));
  queue.arm(early, at(10));
  EXPECT_EQ(queue.expire(at(10)), 1u);
  EXPECT_EQ(log, std::vector{1});
  EXPECT_FALSE(early.armed());
  EXPECT_TRUE(late.armed());
  EXPECT_EQ(late.when(), at(11));
}

TEST(TimerQueue, ATimerThatArmsItselfForThePastDoesNotKeepExpireGoing) {
  struct Again : Timer {
    explicit Again(TimerQueue& q) : queue(q) {}
    void expired() override {
      ++count;
      queue.arm(*this, at(0));
    }
    TimerQueue& queue;
    int count = 0;
  };
  TimerQueue queue;
  Again again(queue);
  queue.arm(again, at(5));
  EXPECT_EQ(queue.expire(at(10)), 1u);
  EXPECT_EQ(queue.expire(at(10)), 1u);
  EXPECT_EQ(again.count, 2);
}

TEST(TimerQueue, AnExpiringTimerMayDisarmOrDestroyOthers) {
  struct Killer : Timer {
    void expired() override { victim.reset(); }
    std::unique_ptr<Recorder> victim;
  };
  TimerQueue queue;
  std::vector<int> log;
  Killer killer;
  killer.victim = std::make_unique<Recorder>(log, 1);
  queue.arm(killer, at(1));
  queue.arm(*killer.victim, at(1));
  EXPECT_EQ(queue.expire(at(2)), 1u);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(queue.size(), 0u);
}

TEST(TimerQueue, DestroyedBeforeItsTimersLeavesThemDisarmed) {
  std::vector<int> log;
  Recorder timer(log, 1);
  {
    TimerQueue queue;
    queue.arm(timer, at(1));
  }
  EXPECT_FALSE(timer.armed());
}

TEST(TimerQueue, ArmingTwiceIsABug) {
  TimerQueue queue;
  std::vector<int> log;
  Recorder timer(log, 1);
  queue.arm(timer, at(1));
  EXPECT_DEATH(queue.arm(timer, at(2)), "armed");
}

TEST(SaturatingAdd, DoesNotOverflow) {
  EXPECT_EQ(saturating_add(at(5), Duration(6)), at(11));
  EXPECT_EQ(saturating_add(at(5), Duration::max()), kNever);
}

}  // namespace
}  // namespace ff::runtime
