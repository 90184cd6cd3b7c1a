#include "libcommon/metrics/text.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "libcommon/metrics/registry.hpp"
#include "tests/unit/libcommon/metrics/exposition.hpp"

namespace ff::metrics {
namespace {

using testing::parse_exposition;

std::string text_of(const Registry& registry) { return to_text(registry.collect()); }

TEST(ToText, WritesTheFormatAsItIsDescribed) {
  Registry registry;
  registry.counter({.name = "read_bytes_total", .unit = Unit::kBytes, .help = "Bytes read.", .labels = {{"disk", "a"}}})
      .value()
      .add(7);
  registry.gauge({.name = "open", .help = "Open now."}).value().set(-1);
  EXPECT_EQ(text_of(registry),
            "# HELP open Open now.\n# TYPE open gauge\nopen -1\n"
            "# HELP read_bytes_total Bytes read.\n# TYPE read_bytes_total counter\n# UNIT read_bytes_total bytes\n"
            "read_bytes_total{disk=\"a\"} 7\n");
  EXPECT_EQ(to_text({}), "");
}

TEST(ToText, EscapesHelpAndLabelValues) {
  Registry registry;
  const std::string nasty = "a\\b\"c\nd}{,=\xc3\xa9";
  (void)registry.gauge({.name = "x", .help = "Help " + nasty, .labels = {{"l", nasty}, {"m", ""}}}).value();
  const std::string text = text_of(registry);
  EXPECT_NE(text.find("# HELP x Help a\\\\b\"c\\nd}{,=\xc3\xa9\n"), std::string::npos);
  EXPECT_NE(text.find("x{l=\"a\\\\b\\\"c\\nd}{,=\xc3\xa9\",m=\"\"} 0\n"), std::string::npos);
  const auto read = parse_exposition(text);
  EXPECT_TRUE(read.errors.empty()) << read.errors[0];
  EXPECT_TRUE(read.has("x", {{"l", nasty}, {"m", ""}}));
  EXPECT_EQ(read.help.at("x"), "Help " + nasty);
}

TEST(ToText, ServesSecondsForNanoseconds) {
  Registry registry;
  const Recorder wait = registry.histogram({.name = "wait_seconds", .unit = Unit::kSeconds, .help = "Wait."}).value();
  wait.record(std::chrono::microseconds(1));   // at a bound: counts in it
  wait.record(std::chrono::microseconds(3));   // in (2, 5]
  wait.record(std::chrono::milliseconds(30));  // in (20, 50]
  wait.record(std::chrono::seconds(3000));     // beyond all
  const auto read = parse_exposition(text_of(registry));
  ASSERT_TRUE(read.errors.empty()) << read.errors[0];
  EXPECT_EQ(read.types.at("wait_seconds"), "histogram");
  EXPECT_EQ(read.units.at("wait_seconds"), "seconds");
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "1e-06"}}), 1);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "2e-06"}}), 1);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "5e-06"}}), 2);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "0.02"}}), 2);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "0.05"}}), 3);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "100"}}), 3);
  EXPECT_EQ(read.value("wait_seconds_bucket", {{"le", "+Inf"}}), 4);
  EXPECT_EQ(read.value("wait_seconds_count"), 4);
  EXPECT_DOUBLE_EQ(read.value("wait_seconds_sum"), 3000.030004);
  EXPECT_EQ(read.types.at("wait_quantiles_seconds"), "summary");
  EXPECT_NEAR(read.value("wait_quantiles_seconds", {{"quantile", "0.5"}}), 3e-6, 3e-6 / 64);
  EXPECT_DOUBLE_EQ(read.value("wait_quantiles_seconds", {{"quantile", "0.999"}}), 3000);
}

TEST(ToText, HasTheBoundsOfItsHeader) {
  Registry registry;
  (void)registry.histogram({.name = "a_seconds", .unit = Unit::kSeconds, .help = "A."}).value();
  (void)registry.histogram({.name = "b_bytes", .unit = Unit::kBytes, .help = "B."}).value();
  (void)registry.histogram({.name = "c", .help = "C."}, {.quantiles = false}).value();
  const auto read = parse_exposition(text_of(registry));
  ASSERT_TRUE(read.errors.empty()) << read.errors[0];
  std::map<std::string, std::vector<double>> bounds;
  for (const auto& s : read.samples)
    if (s.labels.contains("le") && s.labels.at("le") != "+Inf")
      bounds[s.name].push_back(std::strtod(s.labels.at("le").c_str(), nullptr));
  std::vector<double> seconds{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01,
                              0.02, 0.05, 0.1,  0.2,  0.5,  1,    2,    5,    10,   20,   50,   100};
  EXPECT_EQ(bounds["a_seconds_bucket"], seconds);
  std::vector<double> bytes, counts;
  for (double b = 64; b <= 1 << 30; b *= 4) bytes.push_back(b);
  for (double c = 1; c <= 1 << 30; c *= 4) counts.push_back(c);
  EXPECT_EQ(bounds["b_bytes_bucket"], bytes);
  EXPECT_EQ(bounds["c_bucket"], counts);
  EXPECT_FALSE(read.types.contains("c_quantiles"));
  // Nothing recorded: no quantile, and a scraper reads that.
  EXPECT_TRUE(std::isnan(read.value("a_quantiles_seconds", {{"quantile", "0.5"}})));
}

TEST(ToText, CountsCommonSizesInTheirOwnBucket) {
  Registry registry;
  registry.histogram({.name = "io_bytes", .unit = Unit::kBytes, .help = "I/O."}).value().record(std::int64_t{4096});
  const auto read = parse_exposition(text_of(registry));
  EXPECT_EQ(read.value("io_bytes_bucket", {{"le", "1024"}}), 0);
  EXPECT_EQ(read.value("io_bytes_bucket", {{"le", "4096"}}), 1);
  EXPECT_EQ(read.value("io_bytes_sum"), 4096);
}

TEST(ToText, KeepsSeriesOfAFamilyTogetherAndInOrder) {
  Registry registry;
  for (const char* service : {"b", "a"}) {
    const Labels labels{{"service", service}};
    registry.histogram({.name = "wait_seconds", .unit = Unit::kSeconds, .help = "W.", .labels = labels})
        .value()
        .record(1);
    registry.counter({.name = "x_total", .help = "X.", .labels = labels}).value().add();
  }
  const auto gauge = registry.callback_gauge({.name = "load_ratio", .unit = Unit::kRatio, .help = "L."},
                                             [] { return std::numeric_limits<double>::infinity(); });
  const std::string text = text_of(registry);
  const auto read = parse_exposition(text);
  EXPECT_TRUE(read.errors.empty()) << read.errors[0];
  EXPECT_EQ(text, text_of(registry));
  EXPECT_LT(text.find("x_total{service=\"a\"}"), text.find("x_total{service=\"b\"}"));
  EXPECT_EQ(read.value("load_ratio"), std::numeric_limits<double>::infinity());
}

TEST(NumberText, WritesWhatScrapersRead) {
  EXPECT_EQ(number_text(0.001), "0.001");
  EXPECT_EQ(number_text(1e-6), "1e-06");
  EXPECT_EQ(number_text(100), "100");
  EXPECT_EQ(number_text(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(number_text(INFINITY), "+Inf");
  EXPECT_EQ(number_text(-INFINITY), "-Inf");
  EXPECT_EQ(number_text(std::nan("")), "NaN");
}

}  // namespace
}  // namespace ff::metrics
