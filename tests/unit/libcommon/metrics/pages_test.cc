#include "libcommon/metrics/pages.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ff::metrics {
namespace {

using nlohmann::json;

RequestRow row(std::int64_t age_ns, std::string trace = "t") {
  return {.service = "Kv",
          .method = "Get",
          .peer = "10.0.0.1:7",
          .age_ns = age_ns,
          .trace_id = std::move(trace),
          .state = "running"};
}

std::vector<std::pair<std::string, Result<RequestList>>> source(std::vector<RequestRow> rows, std::size_t total = 0) {
  std::vector<std::pair<std::string, Result<RequestList>>> sources;
  sources.emplace_back("server", RequestList{.rows = std::move(rows), .total = total});
  return sources;
}

TEST(HealthPage, IsOkWhenAllChecksPassAndWhenThereAreNone) {
  EXPECT_EQ(health_page({}).status, 200);
  const HttpReply reply = health_page({{"disk", {}}, {"kv", {}}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.type, "application/json");
  EXPECT_EQ(json::parse(reply.body),
            json::parse(R"({"schema":"ff.health/1","status":"ok","failed":[],"passed":["disk","kv"]})"));
}

TEST(HealthPage, NamesEachFailedCheck) {
  const HttpReply reply = health_page({{"disk", fail(Errc::kIo, "/data: \"I/O\" error\n")},
                                       {"kv", {}},
                                       {"mgmt", fail(Errc::kTimeout, "no lease \xff")}});
  EXPECT_EQ(reply.status, 503);
  const json body = json::parse(reply.body);
  EXPECT_EQ(body["status"], "failing");
  ASSERT_EQ(body["failed"].size(), 2U);
  EXPECT_EQ(body["failed"][0], json::parse(R"({"name":"disk","code":"io","message":"/data: \"I/O\" error\n"})"));
  EXPECT_EQ(body["failed"][1]["code"], "timeout");
  EXPECT_EQ(body["passed"], json::parse(R"(["kv"])"));
}

TEST(RequestsPage, ListsTheOldestFirstAsJson) {
  RequestRow late = row(5, "late");
  late.deadline_ns = -7;
  const json body = json::parse(requests_page(source({late, row(9, "old"), row(1, "new")}), false).body);
  EXPECT_EQ(body["schema"], "ff.requests/1");
  const json& server = body["sources"][0];
  EXPECT_EQ(server["name"], "server");
  EXPECT_EQ(server["total"], 3);
  EXPECT_EQ(server["requests"][0], json::parse(R"({"service":"Kv","method":"Get","peer":"10.0.0.1:7","age_ns":9,
      "deadline_ns":null,"trace_id":"old","state":"running"})"));
  EXPECT_EQ(server["requests"][1]["deadline_ns"], -7);
  EXPECT_EQ(server["requests"][2]["trace_id"], "new");
}

TEST(RequestsPage, ShowsABoundedNumberAndSaysHowManyThereAre) {
  std::vector<RequestRow> rows;
  for (int i = 0; i < 1500; ++i) rows.push_back(row(i));
  const json body = json::parse(requests_page(source(rows), false).body);
  EXPECT_EQ(body["sources"][0]["total"], 1500);
  EXPECT_EQ(body["sources"][0]["requests"].size(), 1000U);
  EXPECT_EQ(body["sources"][0]["requests"][0]["age_ns"], 1499);
  const std::string html = requests_page(source(rows), true).body;
  EXPECT_NE(html.find("server: 1500"), std::string::npos);
  EXPECT_NE(html.find("The 1000 oldest are shown."), std::string::npos);
  // A source may know of more than it has made rows for.
  rows.resize(1000);
  EXPECT_EQ(json::parse(requests_page(source(rows, 8000), false).body)["sources"][0]["total"], 8000);
  EXPECT_NE(requests_page(source(rows, 8000), true).body.find("server: 8000"), std::string::npos);
}

TEST(RequestsPage, EscapesAllThatPeersMayChoose) {
  RequestRow nasty{.service = "<script>", .method = "a&b", .peer = "\"x'", .trace_id = "\x1b[\xff", .state = "<b>"};
  nasty.age_ns = 1'500'000'000;
  nasty.deadline_ns = INT64_MIN;
  const HttpReply reply = requests_page(source({nasty}), true);
  EXPECT_EQ(reply.type, "text/html; charset=utf-8");
  EXPECT_EQ(reply.body.find("<script>"), std::string::npos);
  EXPECT_EQ(reply.body.find("<b>"), std::string::npos);
  EXPECT_NE(reply.body.find("<td>&lt;script&gt;<td>a&amp;b<td>&quot;x&#39;<td>\xef\xbf\xbd[\xef\xbf\xbd</tr>"),
            std::string::npos)
      << reply.body;
  EXPECT_NE(reply.body.find("1.5s"), std::string::npos);
  EXPECT_EQ(json::parse(requests_page(source({nasty}), false).body)["sources"][0]["requests"][0]["service"],
            "<script>");
}

TEST(RequestsPage, TellsOfASourceThatCouldNotBeRead) {
  std::vector<std::pair<std::string, Result<RequestList>>> sources;
  sources.emplace_back("stuck", fail(Errc::kTimeout, "hangs <here>"));
  const json body = json::parse(requests_page(sources, false).body);
  EXPECT_EQ(body["sources"][0], json::parse(R"({"name":"stuck","error":"hangs <here>"})"));
  EXPECT_NE(requests_page(sources, true).body.find("hangs &lt;here&gt;"), std::string::npos);
}

TEST(WantsHtml, TellsABrowserFromAProgram) {
  EXPECT_TRUE(wants_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_FALSE(wants_html("*/*"));
  EXPECT_FALSE(wants_html("application/json"));
  EXPECT_FALSE(wants_html(""));
}

TEST(HtmlEscape, LeavesPlainTextAlone) {
  EXPECT_EQ(html_escape("gr\xc3\xbc\xc3\x9f 1/2"), "gr\xc3\xbc\xc3\x9f 1/2");
  EXPECT_EQ(html_escape(""), "");
  EXPECT_EQ(html_escape(std::string("a\0b", 3)),
            "a\xef\xbf\xbd"
            "b");
}

}  // namespace
}  // namespace ff::metrics
