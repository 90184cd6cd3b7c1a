#include "libcommon/report/table.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ff::report {
namespace {

Table sample() {
  Table table("ff.ranks/1", {{.key = "host", .title = "HOST"},
                             {.key = "bytes", .title = "SIZE", .unit = Unit::kBytes},
                             {.key = "latency_ns", .title = "LATENCY", .unit = Unit::kNanoseconds},
                             {.key = "rate", .title = "RATE", .unit = Unit::kBytesPerSecond},
                             {.key = "share", .title = "SHARE", .unit = Unit::kPercent, .decimals = 1},
                             {.key = "note", .title = "NOTE", .wide_only = true}});
  table.set_header("ranks", std::int64_t{2});
  table.add_row({"n1", std::int64_t{65536}, std::int64_t{250000}, 12.5e9, 99.94, "a,\"b\""});
  table.add_row({"node10", std::int64_t{100}, {}, std::nan(""), 5.0, {}});
  return table;
}

TEST(Table, AlignsTextWithNumbersToTheRight) {
  EXPECT_EQ(sample().render(Format::kTable),
            "HOST     SIZE  LATENCY      RATE  SHARE\n"
            "n1      64KiB    250us  12.5GB/s  99.9%\n"
            "node10   100B        -         -   5.0%\n");
}

TEST(Table, ShowsMoreColumnsWhenWide) {
  const std::string wide = sample().render(Format::kWide);
  EXPECT_NE(wide.find("NOTE\n"), std::string::npos);
  EXPECT_NE(wide.find("a,\"b\"\n"), std::string::npos);
}

TEST(Table, JsonHoldsBaseUnitsHeaderAndAllColumns) {
  const auto json = nlohmann::json::parse(sample().render(Format::kJson));
  EXPECT_EQ(json["schema"], "ff.ranks/1");
  EXPECT_EQ(json["ranks"], 2);
  ASSERT_EQ(json["rows"].size(), 2U);
  EXPECT_EQ(json["rows"][0]["bytes"], 65536);
  EXPECT_EQ(json["rows"][0]["latency_ns"], 250000);
  EXPECT_EQ(json["rows"][0]["rate"], 12.5e9);
  EXPECT_EQ(json["rows"][0]["note"], "a,\"b\"");
  EXPECT_TRUE(json["rows"][1]["latency_ns"].is_null());
  EXPECT_TRUE(json["rows"][1]["rate"].is_null());
}

TEST(Table, JsonLinesAreOneObjectARow) {
  const std::string text = sample().render(Format::kJsonl);
  const auto end = text.find('\n');
  const auto first = nlohmann::json::parse(text.substr(0, end));
  EXPECT_EQ(first["schema"], "ff.ranks/1");
  EXPECT_EQ(first["host"], "n1");
  EXPECT_EQ(nlohmann::json::parse(text.substr(end + 1))["host"], "node10");
}

TEST(Table, CsvFollowsRfc4180) {
  EXPECT_EQ(sample().render(Format::kCsv),
            "host,bytes,latency_ns,rate,share,note\r\n"
            "n1,65536,250000,1.25e+10,99.94,\"a,\"\"b\"\"\"\r\n"
            "node10,100,,,5,\r\n");
}

TEST(Table, NamesAreTheFirstColumn) { EXPECT_EQ(sample().render(Format::kName), "n1\nnode10\n"); }

TEST(Table, YamlQuotesWhatReadersWouldMisread) {
  Table table("ff.x/1", {{.key = "v", .title = "V"}});
  for (const char* text : {"plain-word", "yes", "12", "a: b", "", "line\nbreak", "- x"}) table.add_row({text});
  table.add_row({true});
  table.add_row({1.5});
  table.add_row({std::monostate()});
  EXPECT_EQ(table.render(Format::kYaml),
            "schema: ff.x/1\nrows:\n- v: plain-word\n- v: \"yes\"\n- v: \"12\"\n- v: \"a: b\"\n- v: \"\"\n"
            "- v: \"line\\nbreak\"\n- v: \"- x\"\n- v: true\n- v: 1.5\n- v: null\n");
  EXPECT_EQ(Table("ff.x/1", {{.key = "v", .title = "V"}}).render(Format::kYaml), "schema: ff.x/1\nrows: []\n");
}

TEST(Table, AlignsByWidthOnTheScreen) {
  Table table("ff.x/1", {{.key = "a", .title = "A"}, {.key = "b", .title = "B"}});
  table.add_row({"\xe7\x81\xab", "x"});  // one wide character, two columns
  table.add_row({"e\xcc\x81", "x"});     // e with a combining accent, one column
  table.add_row({"a\x1b[31m", "x"});     // a terminal code must show, not act
  EXPECT_EQ(table.render(Format::kTable),
            "A          B\n"
            "\xe7\x81\xab         x\n"
            "e\xcc\x81          x\n"
            "a\\x1b[31m  x\n");
}

TEST(Table, RowsPrintedOneByOneAlign) {
  Table table("ff.x/1", {{.key = "bytes", .title = "SIZE", .unit = Unit::kBytes},
                         {.key = "ns", .title = "TIME", .unit = Unit::kNanoseconds}});
  const std::string titles = table.render_titles(Format::kTable);
  table.add_row({std::int64_t{1024}, std::int64_t{5}});
  table.add_row({std::int64_t{1048576}, std::int64_t{1500000}});
  const std::string first = table.render_row(0, Format::kTable), second = table.render_row(1, Format::kTable);
  EXPECT_EQ(titles.size(), first.size());
  EXPECT_EQ(first.size(), second.size());
  EXPECT_EQ(nlohmann::json::parse(table.render_row(1, Format::kJsonl))["ns"], 1500000);
}

TEST(Table, NegativeAndExtremeNumbersPrint) {
  Table table("ff.x/1", {{.key = "a", .title = "A", .unit = Unit::kBytes}});
  table.add_row({std::int64_t{-2048}});
  table.add_row({INT64_MIN});
  table.add_row({1e30});
  EXPECT_NE(table.render(Format::kTable).find("-2KiB"), std::string::npos);
  EXPECT_NE(table.render(Format::kTable).find("-8EiB"), std::string::npos);
}

TEST(ParseFormat, KnowsEveryNameAndRefusesOthers) {
  for (const auto& name : format_names()) EXPECT_TRUE(parse_format(name)) << name;
  EXPECT_EQ(format_names().size(), 7U);
  EXPECT_FALSE(parse_format("xml"));
}

}  // namespace
}  // namespace ff::report
