#include "ffbench/view/html_report.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "ffbench/view/svg.hpp"
#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

std::string page_of(const Document& document) {
  const std::vector<std::string> labels = {"<b>file</b>"};
  return html_report(std::span(&document, 1), labels, "T & <T>");
}

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(escape_html("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escape_html("a\x01\xff"), "a\\x01\xef\xbf\xbd");
}

TEST(HtmlReport, HoldsResultsMethodMachineAndWarnings) {
  const std::string page = page_of(sample_document());
  for (const char* text :
       {"read bs=4096", "410MB/s", "Fast &lt;One&gt;", "node17", "powersave", "12.50%", "disk full",
        "T &amp; &lt;T&gt;", "<svg", "4KiB: 410MB/s (409600000)", "viewport", "prefers-color-scheme"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
}

TEST(HtmlReport, RefersToNothingOutsideAndRunsNothing) {
  const std::string page = page_of(sample_document());
  for (const char* text : {"<script", "http://", "https://", " src=", " href=", "url(", "@import", "onload"})
    EXPECT_EQ(page.find(text), std::string::npos) << text;
}

TEST(HtmlReport, UntrustedTextIsTextEverywhere) {
  Document document = sample_document();
  const std::string attack = "\"'><script>alert(1)</script><img src=x onerror=y>";
  document.command = document.version = document.started = document.method.cpus = document.method.order = attack;
  document.arguments = document.warnings = {attack};
  document.machine.push_back({attack, {{attack, attack}}});
  for (Row& row : document.rows) {
    row.name += attack;
    row.error = attack;
    row.parameters.push_back({attack, attack});
    for (Metric& metric : row.metrics) metric.name += attack, metric.unit += attack, metric.formula = attack;
    for (Latency& latency : row.latencies) latency.name = attack;
  }
  document.rows.push_back({.name = attack,
                           .parameters = {{"from", attack}, {"to", attack}},
                           .metrics = {{attack, attack, Better::kLower, attack, {1}}}});
  const std::string page = page_of(document);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("\"'>"), std::string::npos);
}

TEST(SvgOf, DrawsExtremesWithoutWordsInCoordinates) {
  Figure figure{.title = "t"};
  figure.series = {{"s", {{1, 1e308, -1e308, 1e308}, {2, std::nan(""), 0, 0}, {3, -1e308, 0, 0}, {INFINITY, 1, 1, 1}}}};
  const std::string drawn = svg_of(figure);
  for (const char* text : {"=\"nan", "=\"inf", "=\"-nan", "=\"-inf", ",nan", ",inf"})
    EXPECT_EQ(drawn.find(text), std::string::npos) << drawn;
}

TEST(HtmlReport, AnEmptyDocumentIsAPage) {
  const std::string page = page_of(Document());
  EXPECT_EQ(page.rfind("<!DOCTYPE html>", 0), 0u);
  EXPECT_NE(page.find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace ff::bench
