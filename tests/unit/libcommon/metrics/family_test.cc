#include "libcommon/metrics/family.hpp"

#include <gtest/gtest.h>

namespace ff::metrics {
namespace {

bool counter_ok(std::string name, Unit unit = Unit::kNone) {
  return check_metric({.name = std::move(name), .unit = unit, .help = "Help."}, MetricType::kCounter).has_value();
}
bool gauge_ok(std::string name, Unit unit = Unit::kNone) {
  return check_metric({.name = std::move(name), .unit = unit, .help = "Help."}, MetricType::kGauge).has_value();
}
bool labels_ok(Labels labels) {
  return check_metric({.name = "x", .help = "Help.", .labels = std::move(labels)}, MetricType::kGauge).has_value();
}

TEST(CheckMetric, FollowsPrometheusGrammarOfNames) {
  for (const char* good : {"x", "_x", "X9", "rpc_requests"}) EXPECT_TRUE(gauge_ok(good)) << good;
  for (const char* bad : {"", "9x", "a-b", "a b", "a:b", "\xc3\xa9", "a\n"}) EXPECT_FALSE(gauge_ok(bad)) << bad;
  EXPECT_TRUE(gauge_ok(std::string(200, 'a')));
  EXPECT_FALSE(gauge_ok(std::string(201, 'a')));
}

TEST(CheckMetric, WantsTotalOnCountersOnly) {
  EXPECT_TRUE(counter_ok("requests_total"));
  EXPECT_FALSE(counter_ok("requests"));
  EXPECT_FALSE(counter_ok("_total"));
  EXPECT_FALSE(gauge_ok("requests_total"));
}

TEST(CheckMetric, WantsTheUnitInTheName) {
  EXPECT_TRUE(counter_ok("read_bytes_total", Unit::kBytes));
  EXPECT_FALSE(counter_ok("read_total", Unit::kBytes));
  EXPECT_FALSE(counter_ok("read_total_bytes", Unit::kBytes));
  EXPECT_TRUE(gauge_ok("age_seconds", Unit::kSeconds));
  EXPECT_FALSE(gauge_ok("age_ms", Unit::kSeconds));
  EXPECT_FALSE(gauge_ok("seconds", Unit::kSeconds));
  EXPECT_TRUE(gauge_ok("full_ratio", Unit::kRatio));
  // A unit in the name that is not said.
  EXPECT_FALSE(gauge_ok("memory_bytes"));
  EXPECT_FALSE(counter_ok("busy_seconds_total"));
}

TEST(CheckMetric, KeepsTheSuffixesOfHistogramsFree) {
  for (const char* bad : {"x_bucket", "x_sum", "x_count"}) EXPECT_FALSE(gauge_ok(bad)) << bad;
  EXPECT_TRUE(gauge_ok("x_counter"));
}

TEST(CheckMetric, WantsHelp) {
  EXPECT_FALSE(check_metric({.name = "x"}, MetricType::kGauge));
  EXPECT_FALSE(check_metric({.name = "x", .help = "\xff"}, MetricType::kGauge));
  EXPECT_FALSE(check_metric({.name = "x", .help = std::string(1025, 'a')}, MetricType::kGauge));
}

TEST(CheckMetric, ChecksLabels) {
  EXPECT_TRUE(labels_ok({{"service", "any \"text\"\n\xc3\xa9"}, {"_b", ""}}));
  EXPECT_FALSE(labels_ok({{"", "v"}}));
  EXPECT_FALSE(labels_ok({{"a-b", "v"}}));
  EXPECT_FALSE(labels_ok({{"__a", "v"}}));
  EXPECT_FALSE(labels_ok({{"le", "v"}}));
  EXPECT_FALSE(labels_ok({{"quantile", "v"}}));
  EXPECT_FALSE(labels_ok({{"a", "v"}, {"a", "w"}}));
  EXPECT_FALSE(labels_ok({{"a", "\xc3"}}));
  EXPECT_FALSE(labels_ok({{"a", std::string(257, 'v')}}));
  Labels many;
  for (int i = 0; i < 17; ++i) many.emplace_back("l" + std::to_string(i), "");
  EXPECT_FALSE(labels_ok(many));
}

TEST(CheckMetric, SaysWhatToDo) {
  const auto refused = check_metric({.name = "read_bytes", .unit = Unit::kBytes, .help = "H."}, MetricType::kCounter);
  EXPECT_EQ(refused.error().message(), "metric 'read_bytes': is a counter (end its name in '_total')");
}

TEST(QuantilesName, KeepsTheUnitLast) {
  EXPECT_EQ(quantiles_name("rpc_latency_seconds", Unit::kSeconds), "rpc_latency_quantiles_seconds");
  EXPECT_EQ(quantiles_name("batch_size", Unit::kNone), "batch_size_quantiles");
}

}  // namespace
}  // namespace ff::metrics
