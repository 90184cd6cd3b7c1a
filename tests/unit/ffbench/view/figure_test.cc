#include "ffbench/view/figure.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

std::vector<Figure> figures(const Document& document) { return figures_of(std::span(&document, 1), {}); }

Row row_of(std::string name, Fields parameters, std::vector<double> samples) {
  return {.name = std::move(name),
          .parameters = std::move(parameters),
          .metrics = {{"rate", "1/s", Better::kHigher, "", std::move(samples)}}};
}

TEST(FiguresOf, ASweepOfBytesIsALineOnABinaryScale) {
  const auto all = figures(sample_document());
  ASSERT_EQ(all.size(), 3u);  // two metrics and the latencies
  EXPECT_EQ(all[0].kind, Figure::Kind::kLines);
  EXPECT_EQ(all[0].title, "storage path: bandwidth");
  EXPECT_EQ(all[0].x.title, "bs");
  EXPECT_EQ(all[0].x.scale, Scale::kLog2);
  ASSERT_EQ(all[0].series.size(), 1u);
  ASSERT_EQ(all[0].series[0].points.size(), 3u);
  EXPECT_EQ(all[0].series[0].points[1].x, 8192);
  EXPECT_EQ(all[0].series[0].points[1].y, 819200000);
  EXPECT_LT(all[0].series[0].points[1].low, 819200000);
  EXPECT_EQ(all[2].x.scale, Scale::kPercentile);
  EXPECT_EQ(all[2].series.size(), 3u);
  // 1/(1-q) up to the number of values: the last percentile that 1000 values can tell.
  EXPECT_EQ(all[2].series[0].points.back().x, 1000);
}

TEST(FiguresOf, OtherParametersMakeTheSeries) {
  Document document{.command = "net bw",
                    .arguments = {},
                    .version = {},
                    .started = {},
                    .method = {},
                    .machine = {},
                    .rows = {},
                    .warnings = {}};
  for (const std::int64_t connections : {1, 2})
    for (const std::int64_t size : {1024, 2048, 4096})
      document.rows.push_back(row_of(std::to_string(size) + "/" + std::to_string(connections),
                                     {{"size", size}, {"connections", connections}, {"same", std::int64_t{1}}},
                                     {static_cast<double>(size * connections)}));
  const auto all = figures(document);
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].series.size(), 2u);
  EXPECT_EQ(all[0].series[1].name, "connections=2");
  EXPECT_EQ(all[0].series[1].points[2].y, 8192);
}

TEST(FiguresOf, RowsWithoutASweepAreBars) {
  Document document;
  document.rows = {row_of("copy", {}, {1}), row_of("scale", {}, {2})};
  const auto all = figures(document);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Figure::Kind::kBars);
  EXPECT_EQ(all[0].names, (std::vector<std::string>{"copy", "scale"}));
}

TEST(FiguresOf, PairsOfHostsAreAHeatMap) {
  Document document;
  document.rows = {row_of("a-b", {{"from", std::string("a")}, {"to", std::string("b")}}, {10}),
                   row_of("b-a", {{"from", std::string("b")}, {"to", std::string("a")}}, {20})};
  const auto all = figures(document);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Figure::Kind::kHeatMap);
  EXPECT_EQ(all[0].row_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all[0].names, (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(all[0].values[0], 10);            // a to b
  EXPECT_TRUE(std::isnan(all[0].values[1]));  // a to a
  EXPECT_EQ(all[0].values[3], 20);            // b to a
}

TEST(FiguresOf, ASumBesideItsPairsIsNoReasonToDrawNoMap) {
  Document document;
  document.rows.push_back(row_of("sum", {}, {6}));
  for (const auto& [from, to] : {std::pair("a", "b"), std::pair("b", "a")})
    document.rows.push_back(
        row_of(std::string(from) + to, {{"from", std::string(from)}, {"to", std::string(to)}}, {3}));
  const auto all = figures(document);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].kind, Figure::Kind::kBars);
  EXPECT_EQ(all[0].names, std::vector<std::string>{"sum"});
  EXPECT_EQ(all[1].kind, Figure::Kind::kHeatMap);
  EXPECT_EQ(all[1].names.size(), 2u);
}

TEST(FiguresOf, SeveralDocumentsAreSeriesOfOneFigure) {
  const std::vector<Document> two = {sample_document(), sample_document()};
  const std::vector<std::string> labels = {"before.json", "after.json"};
  const auto all = figures_of(two, labels);
  ASSERT_EQ(all[0].series.size(), 2u);
  EXPECT_EQ(all[0].series[0].name, "before.json");
}

TEST(FiguresOf, NothingMeasuredGivesNothing) {
  Document document;
  document.rows = {row_of("a", {}, {})};
  EXPECT_TRUE(figures(document).empty());
  EXPECT_TRUE(figures_of({}, {}).empty());
}

TEST(TicksOf, AreRoundAndFew) {
  EXPECT_EQ(ticks_of(Scale::kLinear, 0, 10), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks_of(Scale::kLog2, 1024, 4096), (std::vector<double>{1024, 2048, 4096}));
  EXPECT_EQ(ticks_of(Scale::kPercentile, 1, 1000), (std::vector<double>{1, 2, 10, 100, 1000}));
  EXPECT_EQ(tick_text({.scale = Scale::kPercentile}, 1000), "99.9%");
  EXPECT_EQ(tick_text({.unit = "B"}, 4096), "4KiB");
  for (const Scale scale : {Scale::kLinear, Scale::kLog2, Scale::kLog10})
    for (const double high : {1.5, 3.0, 1e3, 1e9, 1e300}) {
      const auto ticks = ticks_of(scale, 1, high);
      EXPECT_LE(ticks.size(), 20u);
      for (const double tick : ticks) EXPECT_TRUE(tick >= 1 - high * 1e-9 && tick <= high * 1.001) << tick;
    }
}

TEST(Ranges, BearExtremes) {
  Document document;
  document.rows = {row_of("a", {{"bs", std::int64_t{0}}}, {1e308}),
                   row_of("b", {{"bs", std::int64_t{INT64_MAX}}}, {-1e308})};
  for (const Figure& figure : figures(document)) {
    EXPECT_EQ(figure.x.scale, Scale::kLinear);  // 0 has no place on a logarithmic one
    EXPECT_LE(ticks_of(figure.y.scale, y_range(figure).low, y_range(figure).high).size(), 20u);
  }
}

}  // namespace
}  // namespace ff::bench
