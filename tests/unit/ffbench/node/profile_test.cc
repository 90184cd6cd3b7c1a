#include "ffbench/node/profile.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "ffbench/node/fleet.hpp"
#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

Finding value(const std::string& id, double number, Better better) {
  Finding f = statement(id, id, CheckVerdict::kPass, "measured");
  f.value = number;
  f.unit = "B/s";
  f.better = better;
  return f;
}

// bandwidth in GB/s and latency in ns of a node.
NodeReport node(const std::string& host, double bandwidth, double latency) {
  NodeReport report{.host = host, .level = "quick", .version = {}, .started = {}, .elapsed_ns = 0, .checks = {}};
  report.checks = {value("memory_bandwidth.copy", bandwidth * 1e9, Better::kHigher),
                   value("memory_latency", latency, Better::kLower)};
  return report;
}

// Medians 100 GB/s and 90 ns; median absolute deviations 1 GB/s and 2 ns.
std::vector<NodeReport> good_nodes() {
  return {node("a", 99, 88), node("b", 100, 90), node("c", 101, 92), node("d", 98, 86), node("e", 102, 94)};
}

TEST(Profile, LearnsMediansAndRobustSpreads) {
  const auto profile = learn_profile(good_nodes());
  ASSERT_TRUE(profile.has_value()) << profile.error().message();
  EXPECT_DOUBLE_EQ(profile->metrics.at("memory_bandwidth.copy").median, 100e9);
  EXPECT_DOUBLE_EQ(profile->metrics.at("memory_bandwidth.copy").sigma, 1.4826e9);
  EXPECT_DOUBLE_EQ(profile->metrics.at("memory_latency").sigma, 2 * 1.4826);
  EXPECT_EQ(profile->nodes, 5);
}

TEST(Profile, IsNotLedAstrayByABadNodeAmongTheGood) {
  auto nodes = good_nodes();
  nodes.push_back(node("bad", 20, 500));
  nodes.push_back(node("fine", 100, 90));
  EXPECT_DOUBLE_EQ(learn_profile(nodes)->metrics.at("memory_bandwidth.copy").median, 100e9);
}

TEST(Profile, NeedsThreeResultsOfOneLevel) {
  const auto all = good_nodes();
  const auto few = learn_profile(std::span(all).first(2));
  ASSERT_FALSE(few.has_value());
  EXPECT_NE(few.error().message().find("at least 3"), std::string::npos);
  auto mixed = all;
  mixed[2].level = "full";
  EXPECT_FALSE(learn_profile(mixed).has_value());
}

CheckVerdict judged(double bandwidth, double latency, const std::string& id) {
  Findings checks = node("x", bandwidth, latency).checks;
  judge_by_profile(checks, *learn_profile(good_nodes()), {"memory_bandwidth", "memory_latency"});
  return find(checks, id)->verdict;
}

// Limits of the bandwidth: 4 sigma are 5.93 GB/s, so 94.07 passes and 94 does not; it fails from 85 on.
TEST(Profile, JudgesByDeviationsAndByPercent) {
  EXPECT_EQ(judged(94.1, 90, "memory_bandwidth.copy"), CheckVerdict::kPass);
  EXPECT_EQ(judged(94.0, 90, "memory_bandwidth.copy"), CheckVerdict::kWarn);
  EXPECT_EQ(judged(85.1, 90, "memory_bandwidth.copy"), CheckVerdict::kWarn);
  EXPECT_EQ(judged(84.9, 90, "memory_bandwidth.copy"), CheckVerdict::kFail);
  EXPECT_EQ(judged(200, 90, "memory_bandwidth.copy"), CheckVerdict::kPass);  // better is never worse
  EXPECT_EQ(judged(100, 101, "memory_latency"), CheckVerdict::kPass);        // 12 %, but within 4 sigma (11.9 ns)
  EXPECT_EQ(judged(100, 102, "memory_latency"), CheckVerdict::kWarn);
  EXPECT_EQ(judged(100, 104, "memory_latency"), CheckVerdict::kFail);
}

TEST(Profile, SaysWhatIsMissing) {
  const Profile profile = *learn_profile(good_nodes());
  const std::set<std::string> ran{"memory_bandwidth", "memory_latency"};
  Findings checks{value("memory_latency", 90, Better::kLower)};
  judge_by_profile(checks, profile, ran);
  expect_finding(checks, "memory_bandwidth.copy", CheckVerdict::kFail, "is missing");
  Findings skipped{value("memory_latency", 90, Better::kLower),
                   statement("memory_bandwidth", "x", CheckVerdict::kSkip, "cannot run here")};
  judge_by_profile(skipped, profile, ran);
  expect_finding(skipped, "memory_bandwidth.copy", CheckVerdict::kWarn, "was not measured");
  Findings hung{value("memory_latency", 90, Better::kLower),
                statement("memory_bandwidth", "x", CheckVerdict::kFail, "hung", "x")};
  judge_by_profile(hung, profile, ran);
  EXPECT_EQ(hung.size(), 2u);
  Findings not_asked{value("memory_latency", 90, Better::kLower)};
  judge_by_profile(not_asked, profile, {"memory_latency"});
  EXPECT_EQ(not_asked.size(), 1u);
}

// One HCA counts errors, which warns; the other is gone. The warning must not hide that.
TEST(Profile, AWarningOfOneDeviceHidesNoOtherThatIsMissing) {
  Profile profile;
  profile.metrics["link.mlx5_0-1.speed"] = {.median = 25e9};
  profile.metrics["link.mlx5_1-1.speed"] = {.median = 25e9};
  Findings checks{value("link.mlx5_0-1.speed", 25e9, Better::kHigher),
                  statement("link.mlx5_0-1.errors", "x", CheckVerdict::kWarn, "3 symbol_error", "watch")};
  judge_by_profile(checks, profile, {"link"});
  expect_finding(checks, "link.mlx5_1-1.speed", CheckVerdict::kFail, "is missing");
  EXPECT_EQ(checks.size(), 3u);
}

// A part that failed or was skipped as a whole has said so for all values below it.
TEST(Profile, APartThatFailedSpeaksForItsValuesAlone) {
  Profile profile;
  profile.metrics["gpu_gemm.0.rate"] = {.median = 1e12};
  profile.metrics["gpu_gemm.1.rate"] = {.median = 1e12};
  profile.metrics["gpu_gemm.10.rate"] = {.median = 1e12};
  Findings checks{statement("gpu_gemm.0", "x", CheckVerdict::kSkip, "no cuBLAS"),
                  statement("gpu_gemm.1", "x", CheckVerdict::kFail, "cublasSgemm failed", "reset")};
  judge_by_profile(checks, profile, {"gpu_gemm"});
  EXPECT_EQ(checks.size(), 4u);
  expect_finding(checks, "gpu_gemm.0.rate", CheckVerdict::kWarn, "was not measured");
  expect_finding(checks, "gpu_gemm.10.rate", CheckVerdict::kFail, "is missing");
}

TEST(Profile, KeepsAStricterThresholdOfTheCheck) {
  Findings checks = node("x", 100, 90).checks;
  checks[0].threshold = 99e9;
  judge_by_profile(checks, *learn_profile(good_nodes()), {});
  EXPECT_DOUBLE_EQ(*checks[0].threshold, 99e9);
}

TEST(Profile, ReadsWhatItWritesAndRefusesOtherFiles) {
  NodeTree tree;
  const Profile profile = *learn_profile(good_nodes());
  tree.write("p", profile_text(profile));
  const auto again = read_profile(tree.path() + "/p");
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_EQ(profile_text(*again), profile_text(profile));
  const std::string good = profile_text(profile);
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    tree.write("b", text);
    return read_profile(tree.path() + "/b");
  };
  EXPECT_FALSE(broken("ff.node_profile/1", "ff.node/1").has_value());
  EXPECT_FALSE(broken("\"higher\"", "\"up\"").has_value());
  EXPECT_FALSE(broken("\"sigmas\": 4", "\"sigmas\": -1").has_value());
  EXPECT_FALSE(broken("\"fail_percent\": 15", "\"fail_percent\": 1").has_value());  // below warn_percent
  const auto error = broken("\"sigma\": ", "\"sigma\": \"x\", \"y\": ");
  ASSERT_FALSE(error.has_value());
  EXPECT_NE(error.error().message().find("memory_bandwidth.copy: sigma"), std::string::npos) << error.error().message();
  EXPECT_FALSE(read_profile(tree.path() + "/absent").has_value());
}

TEST(Profile, ReadsTheExampleThatIsShipped) {
  const auto profile = read_profile(FF_PROFILE_EXAMPLE);
  ASSERT_TRUE(profile.has_value()) << profile.error().message();
  EXPECT_EQ(profile->metrics.at("gpu.count").median, 8);
}

TEST(Fleet, NamesTheOutlier) {
  auto nodes = good_nodes();
  for (int i = 0; i < 20; ++i) nodes.push_back(node(fmt::format("n{}", i), 99.5 + 0.05 * i, 89 + 0.1 * i));
  nodes.push_back(node("slow", 70, 90));
  nodes.push_back(node("fast", 130, 90));  // too good is no fault
  nodes.push_back(node("dead", 100, 90));
  nodes.back().checks.push_back(statement("link.ens1.state", "x", CheckVerdict::kFail, "ens1 is down", "x"));
  const FleetView view = compare_fleet(nodes);
  ASSERT_EQ(view.outliers.size(), 2u);
  EXPECT_EQ(view.outliers[0].host, "dead");
  EXPECT_EQ(view.outliers[1].host, "slow");
  EXPECT_EQ(view.outliers[1].id, "memory_bandwidth.copy");
  EXPECT_NEAR(view.outliers[1].worse_percent, 30, 1);
  EXPECT_EQ(view.compared, 2u);
}

TEST(Fleet, NamesTheNodeThatLacksWhatTheOthersHave) {
  auto nodes = good_nodes();
  for (NodeReport& node : nodes) node.checks.push_back(value("gpu.count", 8, Better::kHigher));
  nodes.push_back(node("blind", 100, 90));
  nodes.back().checks.push_back(statement("gpu", "x", CheckVerdict::kSkip, "no GPU library"));
  nodes.push_back(node("full", 100, 90));  // another level has other values
  nodes.back().level = "full";
  const FleetView view = compare_fleet(nodes);
  ASSERT_EQ(view.outliers.size(), 1u);
  EXPECT_EQ(view.outliers[0].host, "blind");
  EXPECT_EQ(view.outliers[0].id, "gpu.count");
  EXPECT_NE(view.outliers[0].remark.find("5 of 6"), std::string::npos) << view.outliers[0].remark;
}

// It has said itself what is wrong; and what half of a mixed fleet has is missing nowhere.
TEST(Fleet, MissesNothingOfAPartThatFailedOrThatOnlyHalfOfTheNodesHave) {
  auto nodes = good_nodes();
  for (NodeReport& node : nodes) node.checks.push_back(value("gpu.0.pcie_width", 16, Better::kHigher));
  nodes.push_back(node("broken", 100, 90));
  nodes.back().checks.push_back(statement("gpu", "x", CheckVerdict::kFail, "hung", "x"));
  const FleetView failed = compare_fleet(nodes);
  ASSERT_EQ(failed.outliers.size(), 1u);
  EXPECT_EQ(failed.outliers[0].id, "gpu");
  nodes.pop_back();
  for (const auto& plain : good_nodes()) nodes.push_back(plain);
  EXPECT_TRUE(compare_fleet(nodes).outliers.empty());
}

TEST(Fleet, JudgesNobodyAmongThree) {
  const std::vector<NodeReport> nodes{node("a", 100, 90), node("b", 100, 90), node("c", 10, 90)};
  EXPECT_TRUE(compare_fleet(nodes).outliers.empty());
}

}  // namespace
}  // namespace ff::bench
