#include "ffbench/node/node_report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

NodeReport sample() {
  NodeReport node{.host = "gpu-7",
                  .level = "quick",
                  .version = "0.1.0",
                  .started = "2026-11-23T00:00:00Z",
                  .elapsed_ns = 5,
                  .checks = {}};
  node.checks = {statement("clock.source", "time source", CheckVerdict::kPass, "tsc"),
                 statement("limits.open_files", "files", CheckVerdict::kWarn, "1024 is less than 4096", "raise it"),
                 statement("link.ens1.state", "state", CheckVerdict::kFail, "ens1 is down", "check cable"),
                 statement("gpu", "GPUs", CheckVerdict::kSkip, "no GPU library")};
  node.checks[0].value = 1.5;
  node.checks[0].unit = "ns";
  node.checks[0].better = Better::kLower;
  return node;
}

TEST(NodeReport, DrainsOnFailuresAndWarnsOnWarnings) {
  NodeReport node = sample();
  EXPECT_EQ(fitness_name(node.fitness()), "drain");
  EXPECT_EQ(fitness_exit_code(node.fitness()), 20);
  EXPECT_EQ(node.reasons(),
            (std::vector<std::string>{"link.ens1.state: ens1 is down", "limits.open_files: 1024 is less than 4096"}));
  node.checks.erase(node.checks.begin() + 2);
  EXPECT_EQ(fitness_exit_code(node.fitness()), 10);
  node.checks.erase(node.checks.begin() + 1);
  EXPECT_EQ(fitness_exit_code(node.fitness()), 0);  // skipped checks do not weigh
}

TEST(NodeReport, IsWhatItsSchemaSays) {
  const auto json = nlohmann::json::parse(render_node_report(sample(), report::Format::kJson));
  EXPECT_EQ(json["schema"], "ff.node/1");
  EXPECT_EQ(json["host"], "gpu-7");
  EXPECT_EQ(json["verdict"], "drain");
  EXPECT_EQ(json["reasons"].size(), 2u);
  ASSERT_EQ(json["checks"].size(), 4u);
  EXPECT_EQ(json["checks"][0]["value"], 1.5);
  EXPECT_EQ(json["checks"][0]["better"], "lower");
  EXPECT_TRUE(json["checks"][1]["value"].is_null());
  EXPECT_EQ(json["checks"][2]["fix"], "check cable");
}

TEST(NodeReport, PrintsTheNamesOfWhatFailed) {
  EXPECT_EQ(render_node_report(sample(), report::Format::kName), "link.ens1.state\n");
}

TEST(NodeReport, ReadsWhatItWrites) {
  NodeTree tree;
  const std::string text = render_node_report(sample(), report::Format::kJson);
  std::string line = nlohmann::json::parse(text).dump();
  tree.write("one", text);
  tree.write("list", "[" + line + "," + line + "]");
  tree.write("lines", line + "\n\n" + line + "\n" + line);
  EXPECT_EQ(read_node_reports(tree.path() + "/one")->size(), 1u);
  EXPECT_EQ(read_node_reports(tree.path() + "/list")->size(), 2u);
  const auto lines = read_node_reports(tree.path() + "/lines");
  ASSERT_TRUE(lines.has_value());
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ(render_node_report((*lines)[2], report::Format::kJson), text);
}

TEST(NodeReport, RefusesOtherFiles) {
  NodeTree tree;
  for (const char* text : {"", "x", "{}", "[]x", R"({"schema":"ff.bench/1"})", R"({"schema":"ff.node/1"})",
                           R"({"schema":"ff.node/1","checks":[{"id":"a","verdict":"good","better":"lower"}]})"}) {
    tree.write("f", text);
    const auto reports = read_node_reports(tree.path() + "/f");
    EXPECT_FALSE(reports.has_value()) << text;
    if (!reports) EXPECT_NE(reports.error().message().find("/f: "), std::string::npos) << reports.error().message();
  }
}

}  // namespace
}  // namespace ff::bench
