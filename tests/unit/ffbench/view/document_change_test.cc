#include "ffbench/view/document_change.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

// Three rounds that spread over 3 % give intervals of some +-6 %, beyond the default tolerance.
constexpr double kTolerance = 0.1;

bool mentions(const std::vector<std::string>& warnings, const std::string& what) {
  for (const std::string& warning : warnings)
    if (warning.find(what) != std::string::npos) return true;
  return false;
}

TEST(CompareDocuments, ADocumentIsTheSameAsItself) {
  const auto change = compare_documents(sample_document(), sample_document(), 0.01, kTolerance);
  EXPECT_EQ(change.changes.size(), 6u);
  EXPECT_EQ(change.count(Verdict::kSame), 6u);
  EXPECT_TRUE(change.only_base.empty());
  // The row that failed in both is all there is to say.
  EXPECT_EQ(change.warnings.size(), 2u);
}

TEST(CompareDocuments, DirectionsRowsAndMetricsAreMatchedByName) {
  const Document base = sample_document();
  Document current = sample_document();
  std::swap(current.rows[0], current.rows[2]);
  for (double& x : current.rows[2].metrics[0].samples) x *= 0.5;  // bandwidth of bs=4096: worse
  for (double& x : current.rows[2].metrics[1].samples) x *= 0.5;  // its latency: better
  current.rows.pop_back();
  current.rows.push_back({.name = "new row", .parameters = {}, .metrics = {}});
  current.rows[1].metrics.pop_back();
  const auto change = compare_documents(base, current, 0.01);
  EXPECT_EQ(change.count(Verdict::kWorse), 1u);
  EXPECT_EQ(change.count(Verdict::kBetter), 1u);
  EXPECT_EQ(change.changes[0].row, "read bs=4096");
  EXPECT_EQ(change.changes[0].comparison.verdict, Verdict::kWorse);
  EXPECT_DOUBLE_EQ(change.changes[0].comparison.ratio, 0.5);
  EXPECT_EQ(change.only_base, (std::vector<std::string>{"read bs=8192: latency_p99", "<script>alert('x')</script>"}));
  EXPECT_EQ(change.only_current, std::vector<std::string>{"new row"});
}

TEST(CompareDocuments, WarnsOfOtherMachinesMethodsAndUnits) {
  const Document base = sample_document();
  Document current = sample_document();
  current.machine[0].fields[1].second = std::string("6.2.0");
  current.command = "storage raw";
  current.method.duration_ns = 5;
  current.complete = false;
  current.rows[0].metrics[0].unit = "1/s";
  const auto change = compare_documents(base, current, 0.01);
  EXPECT_TRUE(mentions(change.warnings, "machines differ: host kernel: '6.1.0' and '6.2.0'"));
  EXPECT_TRUE(mentions(change.warnings, "commands differ"));
  EXPECT_TRUE(mentions(change.warnings, "durations differ"));
  EXPECT_TRUE(mentions(change.warnings, "incomplete"));
  EXPECT_TRUE(mentions(change.warnings, "units differ: 'B/s' and '1/s'"));
  EXPECT_EQ(change.changes.size(), 5u);
}

TEST(RenderChange, AnUnknownVerdictHasItsReason) {
  Document base = sample_document(), current = sample_document();
  base.rows[0].metrics[0].samples = {60, 80, 100, 120, 140};
  current.rows[0].metrics[0].samples = {45, 65, 85, 105, 125};
  const auto change = compare_documents(base, current, 0.01, kTolerance);
  const std::string text = render_change(change, report::Format::kTable);
  EXPECT_NE(text.find("unknown: too noisy"), std::string::npos) << text;
  EXPECT_NE(text.find("5 same, 1 unknown"), std::string::npos) << text;
  EXPECT_NE(text.find("1 too noisy: the interval holds 1 and reaches beyond 1 +- 10%"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(render_change(change, report::Format::kJson));
  EXPECT_EQ(json["tolerance"], kTolerance);
  EXPECT_EQ(json["unknown"], 1);
  EXPECT_EQ(json["rows"][0]["verdict"], "unknown");
  EXPECT_EQ(json["rows"][0]["reason"], "too noisy");
  EXPECT_TRUE(json["rows"][1]["reason"].is_null());
}

TEST(RenderChange, TextAndJsonSayTheSame) {
  Document current = sample_document();
  for (double& x : current.rows[0].metrics[0].samples) x *= 2;
  current.rows.pop_back();
  const auto change = compare_documents(sample_document(), current, 0.01, kTolerance);
  const std::string text = render_change(change, report::Format::kTable);
  EXPECT_NE(text.find("0 worse, 1 better, 0 changed, 5 same, 0 unknown; 1 removed, 0 added"), std::string::npos)
      << text;
  EXPECT_NE(text.find("819MB/s"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(render_change(change, report::Format::kJson));
  EXPECT_EQ(json["schema"], "ff.bench.compare/1");
  EXPECT_EQ(json["better"], 1);
  EXPECT_EQ(json["rows"][0]["verdict"], "better");
  EXPECT_EQ(json["rows"][0]["ratio"], 2.0);
  EXPECT_EQ(json["rows"][6]["verdict"], "removed");
}

}  // namespace
}  // namespace ff::bench
