#include "ffbench/measure/load.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace ff::bench {
namespace {

constexpr std::int64_t kTick = 10'000'000;  // 100 a second

TEST(ParseCpuTimes, AddsTheFields) {
  //                                user nice system idle iowait irq softirq steal guest guest_nice
  const auto times = parse_cpu_times("cpu  100 20 30 1000 5 1 4 40 50 0\ncpu0 1 1 1 1 1 1 1 1\n", 100);
  ASSERT_TRUE(times);
  EXPECT_EQ(times->work_ns, 150 * kTick);
  EXPECT_EQ(times->steal_ns, 40 * kTick);
  EXPECT_EQ(times->total_ns, 1200 * kTick);
}

TEST(ParseCpuTimes, RefusesOtherTexts) {
  for (const char* text : {"", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  a b c d e f g h",
                           "cpu  -1 2 3 4 5 6 7 8", "cpu  9223372036854775807 2 3 4 5 6 7 8"})
    EXPECT_FALSE(parse_cpu_times(text, 100)) << text;
}

TEST(LoadBetween, SharesAreOfAllProcessors) {
  // Two processors for one second: 0.8 s of work, of which 0.5 s are ours; 0.1 s stolen.
  const CpuTimes begin{1'000'000'000, 0, 10'000'000'000}, end{1'800'000'000, 100'000'000, 12'000'000'000};
  const auto shares = load_between(begin, end, 500'000'000);
  ASSERT_TRUE(shares);
  EXPECT_DOUBLE_EQ(shares->foreign, 0.15);
  EXPECT_DOUBLE_EQ(shares->steal, 0.05);
}

TEST(LoadBetween, OwnTimeCountedMoreFinelyIsNoNegativeLoad) {
  const CpuTimes begin{}, end{1'000'000'000, 0, 2'000'000'000};
  EXPECT_EQ(load_between(begin, end, 1'009'000'000)->foreign, 0);
  EXPECT_FALSE(load_between(begin, {0, 0, 100'000'000}, 0));
}

TEST(OwnCpu, CountsAChildThatStillLives) {
  const std::int64_t before = own_cpu_ns();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto end = std::clock() + CLOCKS_PER_SEC / 2;
    while (std::clock() < end) {
    }
    ::pause();
    ::_exit(0);
  }
  std::int64_t used = 0;
  for (int i = 0; i < 200 && used < 450'000'000; ++i) {
    ::usleep(50'000);
    used = own_cpu_ns() - before;
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_GE(used, 450'000'000);
}

}  // namespace
}  // namespace ff::bench
