#include "ffbench/result/document_json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "libcommon/base/rng.hpp"
#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

using nlohmann::json;

std::string error_of(const json& document) {
  const auto parsed = parse_document(document.dump());
  return parsed ? "no error" : parsed.error().message();
}

json sample() { return json::parse(to_json(sample_document())); }

TEST(ToJson, HoldsBaseUnitsAndWhatIsComputed) {
  const json document = sample();
  EXPECT_EQ(document["schema"], "ff.bench/1");
  EXPECT_EQ(document["method"]["warmup_ns"], 200'000'000);
  EXPECT_EQ(document["machine"][1]["fields"]["smt"], false);
  EXPECT_TRUE(document["machine"][2]["fields"]["unknown"].is_null());
  const json& metric = document["rows"][0]["metrics"][0];
  EXPECT_EQ(metric["samples"], json({409600000.0, 409600000 * 1.02, 409600000 * 0.99}));
  EXPECT_EQ(metric["median"], 409600000.0);
  EXPECT_LT(metric["ci_low"], metric["median"]);
  EXPECT_GT(metric["ci_high"], metric["median"]);
  EXPECT_EQ(metric["better"], "higher");
  const json& latency = document["rows"][0]["latencies"][0];
  EXPECT_EQ(latency["count"], 1000);
  EXPECT_EQ(latency["min"], 1000);
  EXPECT_EQ(latency["max"], 1'000'000);
  // Of 1000, 2000 .. 1000000 the median is 500000; the histogram knows it to 1.57 %, upwards.
  EXPECT_GE(latency["p50"], 500'000);
  EXPECT_LE(latency["p50"], 508'000);
  EXPECT_EQ(document["rows"][3]["error"], "disk full: \"/data\"");
}

TEST(ToJson, AnIntervalOfOneSampleIsNull) {
  Document document;
  document.rows = {{.name = "a", .parameters = {}, .metrics = {{"m", "", Better::kLower, "", {4}}}}};
  const json metric = json::parse(to_json(document))["rows"][0]["metrics"][0];
  EXPECT_EQ(metric["median"], 4);
  EXPECT_TRUE(metric["ci_low"].is_null());
}

TEST(ParseDocument, ReadsBackWhatWasWritten) {
  const Document document = sample_document();
  const auto parsed = parse_document(to_json(document));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(to_json(*parsed), to_json(document));
  EXPECT_EQ(parsed->rows[1].latencies[0].histogram, document.rows[1].latencies[0].histogram);
  EXPECT_EQ(parsed->rows[0].metrics[0].samples, document.rows[0].metrics[0].samples);
  EXPECT_EQ(parsed->machine[1].fields, document.machine[1].fields);
  EXPECT_EQ(parsed->rows[3].name, "<script>alert('x')</script>");
}

TEST(ParseDocument, ReadsBackAnyDocument) {
  Rng rng(42);
  const auto text = [&] {
    std::string made;
    for (std::uint64_t i = rng.below(12); i > 0; --i) made += static_cast<char>(rng.below(0x7f) + 1);
    return made;
  };
  for (int round = 0; round < 50; ++round) {
    Document document{.command = text(),
                      .arguments = {text(), text()},
                      .version = text(),
                      .started = text(),
                      .method = {},
                      .machine = {},
                      .rows = {},
                      .warnings = {text()}};
    document.elapsed_ns = static_cast<std::int64_t>(rng.next() >> 1);
    document.complete = rng.below(2) == 0;
    for (std::uint64_t r = rng.below(5); r > 0; --r) {
      Row row{
          .name = std::to_string(r) + text(), .parameters = {{text(), rng.normal()}}, .metrics = {}, .error = text()};
      Metric metric{text(), text(), static_cast<Better>(rng.below(3)), text(), {}};
      for (std::uint64_t s = rng.below(6); s > 0; --s)
        metric.samples.push_back(rng.normal() * std::exp(30 * rng.normal()));
      row.metrics.push_back(metric);
      Latency latency{text(), metrics::Histogram()};
      for (std::uint64_t s = rng.below(50); s > 0; --s)
        latency.histogram.record(static_cast<std::int64_t>(rng.next() >> 20));
      row.latencies.push_back(latency);
      document.rows.push_back(row);
    }
    const std::string written = to_json(document);
    const auto parsed = parse_document(written);
    ASSERT_TRUE(parsed) << parsed.error().message() << written;
    EXPECT_EQ(to_json(*parsed), written);
    for (std::size_t r = 0; r < document.rows.size(); ++r)
      EXPECT_EQ(parsed->rows[r].metrics[0].samples, document.rows[r].metrics[0].samples);
  }
}

TEST(ParseDocument, IgnoresUnknownMembers) {
  json document = sample();
  document["later"] = {{"a", 1}};
  document["rows"][0]["metrics"][0]["later"] = true;
  EXPECT_EQ(error_of(document), "no error");
}

TEST(ParseDocument, RefusesAnotherSchema) {
  json document = sample();
  document["schema"] = "ff.bench/2";
  EXPECT_EQ(error_of(document),
            "schema: is 'ff.bench/2', not 'ff.bench/1' (give what a measuring command of ffbench printed with --json)");
  EXPECT_EQ(error_of(json::object()), "schema: is missing");
  EXPECT_EQ(error_of(json::array()), "the document: is a list (expected an object)");
}

TEST(ParseDocument, NamesThePlaceOfEveryMistake) {
  const auto broken = [](auto change) {
    json document = sample();
    change(document);
    return error_of(document);
  };
  EXPECT_EQ(broken([](json& d) { d["rows"][1]["metrics"][0].erase("unit"); }), "rows[1].metrics[0].unit: is missing");
  EXPECT_EQ(broken([](json& d) { d["rows"][0]["metrics"][1]["samples"][2] = "x"; }),
            "rows[0].metrics[1].samples[2]: is a text (expected a number)");
  EXPECT_EQ(broken([](json& d) { d["rows"][0]["metrics"][0]["better"] = "more"; }),
            "rows[0].metrics[0].better: is neither 'higher', 'lower' nor 'neither'");
  EXPECT_EQ(broken([](json& d) { d["rows"][0]["latencies"][0]["encoded"] = "!"; }),
            "rows[0].latencies[0].encoded: is no base64");
  EXPECT_EQ(broken([](json& d) {
              d["rows"][0]["latencies"][0]["encoded"] = "AAAA";
            }).rfind("rows[0].latencies[0].encoded: histogram", 0),
            0u);
  EXPECT_EQ(broken([](json& d) { d["rows"][1]["name"] = d["rows"][0]["name"]; }),
            "rows[1]: another one before is named 'read bs=4096'");
  EXPECT_EQ(broken([](json& d) { d["method"]["repeats"] = -1; }), "method.repeats: -1 is below 0");
  EXPECT_EQ(broken([](json& d) { d["method"]["confidence"] = 1; }), "method.confidence: 1 is outside 0.5 to 0.9999");
  EXPECT_EQ(broken([](json& d) { d["machine"][0]["fields"]["a"] = {1}; }),
            "machine[0].fields.a: is a list (expected a single value)");
  EXPECT_EQ(broken([](json& d) { d["rows"][0]["metrics"][0]["samples"] = std::vector<int>(10'001, 1); }),
            "rows[0].metrics[0].samples: has 10001 samples, more than 10000");
  EXPECT_EQ(broken([](json& d) { d.erase("complete"); }), "complete: is missing");
}

TEST(ReadDocument, NamesTheFile) {
  const auto missing = read_document("/nonexistent/a.json");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message().find("/nonexistent/a.json"), std::string::npos);
}

TEST(ParseDocument, ManySmallHistogramsThatStandForMuchMemoryAreRefused) {
  // 32 characters each, and 0.87 MB of counters: 700 of them are 609 MB.
  const auto layout = metrics::HistogramLayout::make({.sub_bits = 12, .value_max = INT64_MAX});
  ASSERT_TRUE(layout);
  Document document = sample_document();
  document.rows.resize(1);
  document.rows[0].latencies = {{"l", metrics::Histogram(*layout)}};
  json text = json::parse(to_json(document));
  const json latency = text["rows"][0]["latencies"][0];
  for (int i = 0; i < 700; ++i) {
    json more = latency;
    more["name"] = "l" + std::to_string(i);
    text["rows"][0]["latencies"].push_back(more);
  }
  const auto parsed = parse_document(text.dump());
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), Errc::kExhausted);
}

}  // namespace
}  // namespace ff::bench
