#include "ffbench/result/document_table.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "libcommon/report/utf8.hpp"
#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(ToText, OneAlignedLineARow) {
  const auto lines = lines_of(to_text(sample_document(), false));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].rfind("NAME", 0), 0u);
  EXPECT_NE(lines[0].find("BANDWIDTH"), std::string::npos);
  EXPECT_NE(lines[0].find("READ P99"), std::string::npos);
  EXPECT_NE(lines[1].find("read bs=4096"), std::string::npos);
  EXPECT_NE(lines[1].find("410MB/s ±"), std::string::npos) << lines[1];
  EXPECT_NE(lines[4].find("error: disk full"), std::string::npos);
  EXPECT_EQ(report::display_width(lines[1]), report::display_width(lines[3]));
}

TEST(RowPrinter, PrintsTheSameLinesOneByOne) {
  const Document document = sample_document();
  std::vector<Row> bare = document.rows;
  for (Row& row : bare)
    for (Metric& metric : row.metrics) metric.samples.clear();
  const RowPrinter printer(bare, 0.95, true);
  std::string text = printer.titles();
  for (const Row& row : document.rows) text += printer.line(row);
  EXPECT_EQ(text, to_text(document, true));
}

TEST(ToText, ControlCharactersDoNotReachTheTerminal) {
  Document document;
  document.rows = {{.name = "a\x1b[31m\n",
                    .parameters = {},
                    .metrics = {{"m\x07", "", Better::kLower, "", {1}}},
                    .error = "\x1b]0;x"}};
  const std::string text = to_text(document, true);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(lines_of(text).size(), 2u);
}

TEST(ToRecords, CsvNamesAndJsonLines) {
  const Document document = sample_document();
  EXPECT_EQ(to_records(document, report::Format::kName),
            "read bs=4096\nread bs=8192\nread bs=16384\n<script>alert('x')</script>\n");
  const auto csv = lines_of(to_records(document, report::Format::kCsv));
  EXPECT_EQ(csv[0], "row,metric,unit,better,median,ci_low,ci_high,samples,error\r");
  EXPECT_EQ(csv[1].rfind("read bs=4096,bandwidth,B/s,higher,409600000,", 0), 0u) << csv[1];
  // Three rows with two metrics and five percentiles, and the row that failed.
  EXPECT_EQ(csv.size(), 1u + 3 * 7 + 1);
  for (const std::string& line : lines_of(to_records(document, report::Format::kJsonl)))
    EXPECT_EQ(nlohmann::json::parse(line)["schema"], "ff.bench.metrics/1");
}

TEST(RenderDocument, ChoosesByFormat) {
  const Document document = sample_document();
  EXPECT_EQ(nlohmann::json::parse(render_document(document, report::Format::kJson))["schema"], "ff.bench/1");
  EXPECT_EQ(render_document(document, report::Format::kTable), to_text(document, false));
  EXPECT_NE(render_document(document, report::Format::kYaml).find("ff.bench.metrics/1"), std::string::npos);
}

}  // namespace
}  // namespace ff::bench
