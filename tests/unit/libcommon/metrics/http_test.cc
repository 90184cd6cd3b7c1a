#include "libcommon/metrics/http.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/unit/libcommon/metrics/exposition.hpp"
#include "tests/unit/libcommon/metrics/http_client.hpp"

namespace ff::metrics {
namespace {

using nlohmann::json;
using testing::Answer;
using testing::fetch;

class HttpServerTest : public ::testing::Test {
 protected:
  Answer get(const std::string& path, const std::string& headers = "") { return fetch(server_->port(), path, headers); }

  Registry registry_;
  std::unique_ptr<HttpServer> server_ = HttpServer::start(registry_).value();
};

TEST_F(HttpServerTest, ServesMetricsThatAScraperReads) {
  const Counter counter = registry_.counter({.name = "x_total", .help = "X."}).value();
  registry_.histogram({.name = "wait_seconds", .unit = Unit::kSeconds, .help = "W."}).value().record(1000);
  counter.add(41);
  counter.add();
  const Answer answer = get("/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.head.find("Content-Type: text/plain; version=0.0.4; charset=utf-8"), std::string::npos);
  const auto read = testing::parse_exposition(answer.body);
  EXPECT_TRUE(read.errors.empty()) << read.errors[0];
  EXPECT_EQ(read.value("x_total"), 42);
  EXPECT_EQ(read.value("wait_seconds_count"), 1);
}

TEST_F(HttpServerTest, HealthFollowsTheChecks) {
  EXPECT_EQ(get("/healthz").status, 200);
  std::atomic<bool> good{true};
  auto disk = server_
                  ->add_check("disk",
                              [&]() -> Result<> {
                                if (good) return {};
                                return fail(Errc::kIo, "/data: read-only");
                              })
                  .value();
  const auto kv = server_->add_check("kv", []() -> Result<> { return {}; }).value();
  EXPECT_FALSE(server_->add_check("disk", []() -> Result<> { return {}; }));
  EXPECT_EQ(get("/healthz").status, 200);
  good = false;
  const Answer failing = get("/healthz");
  EXPECT_EQ(failing.status, 503);
  const json body = json::parse(failing.body);
  EXPECT_EQ(body["failed"][0]["name"], "disk");
  EXPECT_EQ(body["failed"][0]["message"], "/data: read-only");
  EXPECT_EQ(body["passed"], json::parse(R"(["kv"])"));
  disk.release();
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(HttpServerTest, ShowsRequestsAsHtmlOrJson) {
  const auto source = server_->add_requests("rpc", [] {
    return RequestList{.rows = {{.service = "Kv",
                                 .method = "Get<T>",
                                 .peer = "peer",
                                 .age_ns = 2'000'000,
                                 .deadline_ns = 1'000'000,
                                 .trace_id = "4bf92f",
                                 .state = "running"}},
                       .total = 1};
  });
  ASSERT_TRUE(source);
  const Answer machine = get("/debug/requests");
  EXPECT_NE(machine.head.find("application/json"), std::string::npos);
  EXPECT_EQ(json::parse(machine.body)["sources"][0]["requests"][0]["trace_id"], "4bf92f");
  const Answer browser = get("/debug/requests", "Accept: text/html,*/*;q=0.8\r\n");
  EXPECT_NE(browser.head.find("text/html"), std::string::npos);
  EXPECT_NE(browser.body.find("<td>Get&lt;T&gt;<td>peer<td>4bf92f"), std::string::npos) << browser.body;
}

TEST_F(HttpServerTest, TheIndexNamesEveryPageAndEachIsThere) {
  const Answer index = get("/");
  EXPECT_EQ(index.status, 200);
  int links = 0;
  for (std::size_t at = 0; (at = index.body.find("href=\"", at)) != std::string::npos; ++links) {
    at += 6;
    const std::string path = index.body.substr(at, index.body.find('"', at) - at);
    EXPECT_EQ(get(path).status, 200) << path;
  }
  EXPECT_EQ(links, 3);
  EXPECT_EQ(get("/nothing").status, 404);
  EXPECT_EQ(get("/metrics/").status, 404);
}

TEST_F(HttpServerTest, ChecksMayComeAndGoWhileTheyAreAsked) {
  std::atomic<bool> done{false};
  std::thread changing([&] {
    for (int i = 0; i < 300; ++i) {
      const auto passing = server_->add_check("a", []() -> Result<> { return {}; }).value();
      const auto gauge = registry_.callback_gauge({.name = "g", .help = "G."}, [] { return 1.0; }).value();
    }
    done = true;
  });
  do {
    EXPECT_EQ(get("/healthz").status, 200);
    EXPECT_EQ(get("/metrics").status, 200);
  } while (!done);
  changing.join();
}

TEST_F(HttpServerTest, StopsCleanly) {
  EXPECT_EQ(get("/").status, 200);
  EXPECT_TRUE(server_->stop(Deadline::after(std::chrono::seconds(10))));
}

TEST(HttpServer, SaysWhyItCannotStart) {
  const Registry registry;
  const auto server = HttpServer::start(registry, {.address = "not an address"});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().message(), "not an address: is no IP address (give numbers, as 127.0.0.1 or ::1)");
}

}  // namespace
}  // namespace ff::metrics
