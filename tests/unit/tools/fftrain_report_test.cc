// What rank 0 prints, read back by a JSON parser that is not ours.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/fftrain/train_report.hpp"

namespace ff::fftrain {
namespace {

using nlohmann::json;

StepRecord record_of(std::int64_t step) {
  return {.step = step,
          .loss = std::log(2.0) * 3.0,
          .lr = 0.001,
          .grad_norm = 1.5,
          .bytes = 1000,
          .forward_ns = 100'000'000,
          .backward_ns = 200'000'000,
          .optimizer_ns = 50'000'000,
          .step_ns = 500'000'000,
          .communication = {.total_ns = 400'000'000, .exposed_ns = 100'000'000}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string report_steps(report::Format format, std::int64_t every, int ranks, std::int64_t steps) {
  std::string out;
  TrainReport report(format, every, ranks, [&](std::string_view text) { out += text; });
  for (std::int64_t step = 1; step <= steps; ++step) report.on_step(record_of(step), steps);
  return out;
}

TEST(TrainReport, PrintsTheFirstEachNthAndTheLastStep) {
  std::vector<int> steps;
  for (const auto& line : lines_of(report_steps(report::Format::kJson, 4, 2, 10)))
    steps.push_back(json::parse(line)["step"]);
  EXPECT_EQ(steps, (std::vector<int>{1, 4, 8, 10}));
}

TEST(TrainReport, AStepIsAJsonLineInBaseUnits) {
  const json step = json::parse(report_steps(report::Format::kJson, 1, 4, 1));
  EXPECT_EQ(step["schema"], "ff.train.step/1");
  EXPECT_NEAR(step["bits_per_byte"], 3.0, 1e-12);
  EXPECT_EQ(step["tokens_per_second"], 2000.0);  // 1000 bytes in half a second
  EXPECT_EQ(step["hidden_percent"], 75.0);
  EXPECT_EQ(step["forward_ns"], 100'000'000);
  EXPECT_EQ(step["communication_ns"], 400'000'000);
  EXPECT_EQ(step["exposed_ns"], 100'000'000);
}

TEST(TrainReport, OneRankHidesNothing) {
  EXPECT_TRUE(json::parse(report_steps(report::Format::kJson, 1, 1, 1))["hidden_percent"].is_null());
}

TEST(TrainReport, TextHasOneLineOfTitles) {
  const auto lines = lines_of(report_steps(report::Format::kTable, 1, 2, 3));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_NE(lines[0].find("STEP"), std::string::npos);
  EXPECT_NE(lines[1].find("3.0000"), std::string::npos);
}

TrainSummary summary_of() {
  TrainSummary summary{.first_step = 10,
                       .steps_done = 12,
                       .ranks = 2,
                       .parameters = 77,
                       .text_bytes = 999,
                       .unigram_bits = 4.5,
                       .final_loss = std::log(2.0)};
  summary.total = record_of(0);
  return summary;
}

TEST(TrainReport, SummaryIsTheLastJsonLine) {
  std::string out;
  TrainReport report(report::Format::kJsonl, 1, 2, [&](std::string_view text) { out += text; });
  report.finish(summary_of(), std::string("ab\xff\n", 4));
  const json summary = json::parse(out);
  EXPECT_EQ(summary["schema"], "ff.train.summary/1");
  EXPECT_EQ(summary["first_step"], 10);
  EXPECT_EQ(summary["steps_done"], 12);
  EXPECT_EQ(summary["unigram_bits_per_byte"], 4.5);
  EXPECT_NEAR(summary["unigram_nats_per_byte"], 4.5 * std::log(2.0), 1e-12);
  EXPECT_NEAR(summary["final_bits_per_byte"], 1.0, 1e-12);
  EXPECT_EQ(summary["compute_ns"], 350'000'000);
  EXPECT_EQ(summary["compute_plus_communication_ns"], 750'000'000);
  EXPECT_EQ(summary["communication_share"], 0.8);
  EXPECT_EQ(summary["hidden_share"], 0.75);
  EXPECT_EQ(summary["sample"], "ab\uFFFD\n");
}

TEST(TrainReport, SummaryTextShowsTheEntropyBesideTheLossAndTheSample) {
  std::string out;
  TrainReport report(report::Format::kTable, 1, 2, [&](std::string_view text) { out += text; });
  report.finish(summary_of(), "words");
  EXPECT_NE(out.find("1.0000 bits/byte"), std::string::npos);
  EXPECT_NE(out.find("4.5000 bits/byte"), std::string::npos);
  EXPECT_NE(out.find("75.0% hidden"), std::string::npos);
  EXPECT_NE(out.find("sample:\nwords\n"), std::string::npos);
}

TEST(TrainReport, SummaryOfARunWithoutStepsHasNoLoss) {
  TrainSummary summary = summary_of();
  summary.first_step = summary.steps_done;
  summary.final_loss = std::numeric_limits<double>::quiet_NaN();
  summary.total = {};
  std::string text, line;
  TrainReport(report::Format::kTable, 1, 2, [&](std::string_view t) { text += t; }).finish(summary, "");
  TrainReport(report::Format::kJson, 1, 2, [&](std::string_view t) { line += t; }).finish(summary, "");
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_TRUE(json::parse(line)["final_loss"].is_null());
  EXPECT_FALSE(json::parse(line).contains("sample"));
}

TEST(PrintableText, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable_text("a\tb\n\x1b[31m\x80"), "a\tb\n\\x1b[31m\\x80");
}

}  // namespace
}  // namespace ff::fftrain
