#include "ffbench/measure/signals.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace ff::bench {
namespace {

using namespace std::chrono_literals;

bool requested_soon(const std::stop_token& token) {
  for (int i = 0; i < 5000 && !token.stop_requested(); ++i) std::this_thread::sleep_for(1ms);
  return token.stop_requested();
}

// What a child process does, and how it ended.
int status_of(void (*child)()) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    child();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(StopOnSignal, TheFirstOneRequestsAStop) {
  const auto signals = StopOnSignal::install();
  ASSERT_TRUE(signals);
  EXPECT_FALSE((*signals)->token().stop_requested());
  EXPECT_EQ((*signals)->signal(), 0);
  ::raise(SIGTERM);
  EXPECT_TRUE(requested_soon((*signals)->token()));
  EXPECT_EQ((*signals)->signal(), SIGTERM);
}

TEST(StopOnSignal, TheSecondOneEndsTheProcess) {
  const int status = status_of([] {
    const auto signals = StopOnSignal::install();
    ::raise(SIGINT);
    requested_soon((*signals)->token());
    ::raise(SIGTERM);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(StopOnSignal, IgnoredSignalsStayIgnoredAndAllIsPutBack) {
  const auto old = std::signal(SIGINT, SIG_IGN);
  {
    const auto signals = StopOnSignal::install();
    ASSERT_TRUE(signals);
    ::raise(SIGINT);
    EXPECT_EQ((*signals)->signal(), 0);
  }
  EXPECT_EQ(std::signal(SIGINT, old), SIG_IGN);
  EXPECT_TRUE(StopOnSignal::install());
}

TEST(StopOnSignal, AForkedChildEndsAndItsParentGoesOn) {
  const auto signals = StopOnSignal::install();
  ASSERT_TRUE(signals);
  const int status = status_of([] {
    ::raise(SIGTERM);
    ::sleep(1);  // ThreadSanitizer delivers signals when a call blocks
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE((*signals)->token().stop_requested());
}

}  // namespace
}  // namespace ff::bench
