// Sessions as commands run them: through cli::run, whose exit code and output are what people see.
#include "ffbench/measure/session.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <memory>

#include "ffbench/result/document_json.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

using std::chrono::nanoseconds;

struct Outcome {
  int code = -1;
  std::string out, errors;
};

// Runs `ffbench try ARGUMENTS` with these cases.
Outcome run_with(std::vector<std::string> arguments, const std::vector<Case>& cases) {
  auto options = std::make_shared<MeasureOptions>();
  options->warmup = nanoseconds(0);
  cli::App app;
  app.root.name = "ffbench";
  app.root.summary = "test";
  cli::Command command{.name = "try", .summary = "test"};
  options->add_to(command);
  command.run = [&]() -> Result<int> {
    FF_TRY_ASSIGN(auto session, Session::open("try", *options, arguments));
    return session.run(cases);
  };
  app.root.commands.push_back(command);
  std::vector<std::string> words = {"ffbench", "try"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = cli::run(std::move(app), static_cast<int>(argv.size()), argv.data());
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.errors = ::testing::internal::GetCapturedStderr();
  return outcome;
}

Row row_of(std::string name) {
  return {.name = std::move(name), .parameters = {}, .metrics = {{"value", "", Better::kHigher, "", {}}}};
}

// Gives 1, 2, 3, ... and notes its name with the duration asked for.
Case counting(std::string name, std::vector<std::string>& log) {
  auto next = std::make_shared<double>(0);
  return {row_of(name), [name, next, &log](nanoseconds duration, const std::stop_token&) -> Result<Reading> {
            log.push_back(name + " " + std::to_string(duration.count() / 1'000'000));
            return Reading{{++*next}};
          }};
}

TEST(Session, RoundsInterleaveAfterOneWarmUpEach) {
  std::vector<std::string> log;
  const auto outcome = run_with({"--json", "--repeat", "2", "--duration", "10ms", "--warmup", "3ms", "--quiet"},
                                {counting("a", log), counting("b", log)});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(log, (std::vector<std::string>{"a 3", "a 10", "b 3", "b 10", "a 10", "b 10"}));
  const auto document = parse_document(outcome.out);
  ASSERT_TRUE(document) << document.error().message();
  EXPECT_EQ(document->command, "try");
  EXPECT_TRUE(document->complete);
  EXPECT_EQ(document->method.repeats, 2);
  EXPECT_EQ(document->method.duration_ns, 10'000'000);
  EXPECT_EQ(document->method.order, "interleaved");
  EXPECT_EQ(document->arguments[1], "--repeat");
  EXPECT_EQ(document->rows[1].metrics[0].samples, (std::vector<double>{2, 3}));  // 1 was the warm-up
  EXPECT_FALSE(document->machine.empty());
}

TEST(Session, TextShowsEveryRow) {
  std::vector<std::string> log;
  const auto outcome = run_with({"--repeat", "3", "--quiet"}, {counting("first", log), counting("second", log)});
  EXPECT_EQ(outcome.out.rfind("NAME", 0), 0u);
  EXPECT_NE(outcome.out.find("\nfirst "), std::string::npos);
  EXPECT_NE(outcome.out.find("\nsecond "), std::string::npos);
}

TEST(Session, AFailedCaseIsARowAndTheOthersGoOn) {
  std::vector<std::string> log;
  int calls = 0;
  const Case broken{row_of("broken"), [&](nanoseconds, const std::stop_token&) -> Result<Reading> {
                      ++calls;
                      return fail(Errc::kIo, "disk: gone");
                    }};
  const auto outcome = run_with({"--json", "--repeat", "3", "--quiet"}, {broken, counting("good", log)});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(calls, 1);
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document->rows[0].error, "disk: gone");
  EXPECT_EQ(document->rows[1].metrics[0].samples.size(), 3u);
  EXPECT_EQ(outcome.errors, "ffbench: broken: disk: gone\n");
  const auto alone = run_with({"--quiet", "--json"}, {broken});
  EXPECT_EQ(alone.code, 1);
  EXPECT_EQ(alone.errors, "ffbench: broken: disk: gone\n");
}

TEST(Session, AReadingWithAnErrorCountsAndIsTheLast) {
  int calls = 0;
  const Case full{row_of("full"), [&](nanoseconds, const std::stop_token&) -> Result<Reading> {
                    return Reading{{static_cast<double>(++calls)}, {}, calls == 2 ? "disk full" : ""};
                  }};
  const auto outcome = run_with({"--json", "--repeat", "5", "--quiet"}, {full});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(calls, 2);
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document->rows[0].error, "disk full");
  EXPECT_EQ(document->rows[0].metrics[0].samples, (std::vector<double>{1, 2}));
}

TEST(Session, AValueThatIsNoNumberIsAnError) {
  const Case broken{row_of("nan"),
                    [](nanoseconds, const std::stop_token&) -> Result<Reading> { return Reading{{std::nan("")}}; }};
  const auto outcome = run_with({"--json", "--quiet"}, {broken});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(parse_document(outcome.out)->rows[0].error, "value: the measurement gave no number");
}

TEST(Session, WhatDidNotHappenHasNoSample) {
  int calls = 0;
  const Case sometimes{row_of("sometimes"), [&](nanoseconds, const std::stop_token&) -> Result<Reading> {
                         return Reading{{++calls == 2 ? std::nullopt : std::optional<double>(calls)}};
                       }};
  const auto outcome = run_with({"--json", "--repeat", "3", "--quiet"}, {sometimes});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(parse_document(outcome.out)->rows[0].metrics[0].samples, (std::vector<double>{1, 3}));
}

TEST(Session, HistogramsOfAllRoundsAreMerged) {
  Row row = row_of("a");
  row.latencies.push_back({"read", metrics::Histogram()});
  const Case timed{row, [](nanoseconds, const std::stop_token&) -> Result<Reading> {
                     Reading reading{{1}, {metrics::Histogram()}};
                     reading.latencies[0].record(5);
                     return reading;
                   }};
  const auto outcome = run_with({"--json", "--repeat", "4", "--quiet"}, {timed});
  EXPECT_EQ(parse_document(outcome.out)->rows[0].latencies[0].histogram.count(), 4u);
}

TEST(Session, ASignalKeepsWhatWasMeasured) {
  std::vector<std::string> log;
  int calls = 0;
  const Case interrupted{row_of("interrupted"), [&](nanoseconds, const std::stop_token& stop) -> Result<Reading> {
                           if (++calls == 1) return Reading{{7}};
                           ::raise(SIGINT);
                           while (!stop.stop_requested()) {
                           }
                           return fail(Errc::kCancelled, "stopped");
                         }};
  const auto outcome = run_with({"--json", "--repeat", "3", "--quiet"}, {interrupted, counting("b", log)});
  EXPECT_EQ(outcome.code, 128 + SIGINT);
  const auto document = parse_document(outcome.out);
  ASSERT_TRUE(document);
  EXPECT_FALSE(document->complete);
  EXPECT_EQ(document->rows[0].metrics[0].samples, std::vector<double>{7});
  EXPECT_EQ(document->rows[0].error, "");
  EXPECT_EQ(document->rows[1].metrics[0].samples.size(), 1u);
}

TEST(Session, RowsThatAStopLeftOutSaySo) {
  std::vector<std::string> log;
  const Case stopping{row_of("stopping"), [](nanoseconds, const std::stop_token& stop) -> Result<Reading> {
                        ::raise(SIGTERM);
                        while (!stop.stop_requested()) {
                        }
                        return Reading{{3}};  // what it has, when there is nothing better
                      }};
  const auto outcome = run_with({"--json", "--quiet"}, {stopping, counting("never", log)});
  EXPECT_EQ(outcome.code, 128 + SIGTERM);
  EXPECT_TRUE(log.empty());
  const auto document = parse_document(outcome.out);
  EXPECT_EQ(document->rows[0].metrics[0].samples, std::vector<double>{3});
  EXPECT_EQ(document->rows[1].error, "stopped before it was measured");
}

TEST(Session, OutIsWrittenOnceAndNeverOver) {
  const testing::TempFolder folder;
  const std::string path = folder.file("run.json");
  std::vector<std::string> log;
  EXPECT_EQ(run_with({"--out", path, "--quiet", "--repeat", "1"}, {counting("a", log)}).code, 0);
  EXPECT_EQ(read_document(path)->rows[0].name, "a");
  log.clear();
  EXPECT_EQ(run_with({"--out", path, "--quiet"}, {counting("a", log)}).code, 1);
  EXPECT_TRUE(log.empty());  // refused before anything ran
}

TEST(Session, WrongOptionsAreUsageErrors) {
  std::vector<std::string> log;
  EXPECT_EQ(run_with({"--cpus", "x"}, {counting("a", log)}).code, 2);
  EXPECT_EQ(run_with({"--cpus", "1023"}, {counting("a", log)}).code, 2);
  EXPECT_EQ(run_with({"--repeat", "0"}, {counting("a", log)}).code, 2);
  EXPECT_TRUE(log.empty());
}

}  // namespace
}  // namespace ff::bench
