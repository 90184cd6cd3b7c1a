// Checks that hang, crash or run out of time are named, and the validator goes on.
#include "ffbench/node/validator.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "ffbench/node/checks.hpp"
#include "ffbench/node/isolate.hpp"
#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

Check check(const std::string& name, std::chrono::nanoseconds deadline, std::function<Findings()> run) {
  return {name, name, deadline, deadline, [run = std::move(run)](const NodeContext&) { return run(); }};
}
Findings good(const std::string& name) { return {statement(name, name, CheckVerdict::kPass, "ok")}; }

TEST(Validator, NamesChecksThatHangOrCrashAndGoesOn) {
  const std::vector<Check> checks{check("before", seconds(20), [] { return good("before"); }),
                                  check("hangs", milliseconds(200),
                                        []() -> Findings {
                                          for (;;) ::pause();
                                        }),
                                  check("crashes", seconds(20),
                                        []() -> Findings {
                                          ::signal(SIGABRT, SIG_DFL);
                                          ::abort();
                                        }),
                                  check("says_nothing", seconds(20), [] { return Findings{}; }),
                                  check("leaves", seconds(20), []() -> Findings { ::_exit(0); }),
                                  check("after", seconds(20), [] { return good("after"); })};
  const auto start = std::chrono::steady_clock::now();
  const auto findings = run_checks(checks, {}, {}, {});
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(15));
  ASSERT_EQ(findings.size(), 6u);
  expect_finding(findings, "before", CheckVerdict::kPass, "ok");
  expect_finding(findings, "hangs", CheckVerdict::kFail, "hung: no answer within 200ms");
  expect_finding(findings, "crashes", CheckVerdict::kFail, "SIGABRT");
  expect_finding(findings, "says_nothing", CheckVerdict::kFail, "said nothing");
  expect_finding(findings, "leaves", CheckVerdict::kFail, "cannot be read");
  expect_finding(findings, "after", CheckVerdict::kPass);
}

TEST(Validator, KillsWhatAHangingCheckStarted) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::vector<Check> checks{check("hangs", milliseconds(300), [&]() -> Findings {
    const pid_t grandchild = ::fork();
    if (grandchild == 0)
      for (;;) ::pause();
    if (::write(ends[1], &grandchild, sizeof grandchild) < 0) ::_exit(1);
    for (;;) ::pause();
  })};
  run_checks(checks, {}, {}, {});
  pid_t grandchild = 0;
  ASSERT_EQ(::read(ends[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  bool gone = false;
  // Killed at once; who reaps it decides when its number disappears, so a zombie counts as gone.
  for (int i = 0; i < 500 && !gone; ++i) {
    std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
    std::string text;
    gone = !std::getline(stat, text) || text.find(") Z") != std::string::npos;
    if (!gone) std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(gone);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Validator, StopsInTime) {
  ValidatorOptions options;
  options.timeout = milliseconds(200);
  const std::vector<Check> checks{check("slow", seconds(60),
                                        []() -> Findings {
                                          for (;;) ::pause();
                                        }),
                                  check("late", seconds(60), [] { return good("late"); })};
  const auto findings = run_checks(checks, {}, options, {});
  // Nobody knows whether it would have answered in its own time.
  expect_finding(findings, "slow", CheckVerdict::kWarn, "cut short");
  expect_finding(findings, "late", CheckVerdict::kWarn, "the time for all checks was up");
}

TEST(Validator, EndsWhenStopped) {
  std::stop_source source;
  std::jthread later([&] {
    std::this_thread::sleep_for(milliseconds(100));
    source.request_stop();
  });
  const std::vector<Check> checks{check("slow", seconds(60),
                                        []() -> Findings {
                                          for (;;) ::pause();
                                        }),
                                  check("next", seconds(60), [] { return good("next"); })};
  const auto findings = run_checks(checks, {}, {}, source.get_token());
  EXPECT_EQ(find(findings, "slow")->verdict, CheckVerdict::kSkip);
  EXPECT_EQ(find(findings, "next")->verdict, CheckVerdict::kSkip);
}

TEST(Validator, SelectsChecksByName) {
  EXPECT_EQ(select_checks(all_checks(), {"clock", "link"}, {})->size(), 2u);
  EXPECT_EQ(select_checks(all_checks(), {}, {"clock"})->size(), all_checks().size() - 1);
  EXPECT_FALSE(select_checks(all_checks(), {"clocks"}, {}).has_value());
}

TEST(Validator, LetsNothingOfACheckReachStandardOutput) {
  ::testing::internal::CaptureStdout();
  run_isolated("loud", "loud", seconds(20),
               [] {
                 std::printf("noise\n");
                 std::fflush(stdout);
                 return good("loud");
               },
               {});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace ff::bench
