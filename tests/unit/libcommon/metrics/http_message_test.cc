#include "libcommon/metrics/http_message.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>

namespace ff::metrics {
namespace {

HttpReply echo(const HttpRequest& request) {
  if (request.path == "/throw") throw std::runtime_error("no luck");
  return {.status = 200, .type = "text/plain; charset=utf-8", .body = request.path + "|" + request.accept};
}

HttpAnswer ask(const std::string& head, bool last = false) { return HttpMessages(echo).answer(head, last); }

bool begins(const HttpAnswer& answer, const std::string& status) {
  return answer.bytes.starts_with("HTTP/1.1 " + status + " ");
}

TEST(HttpMessages, AnswersAGet) {
  const HttpAnswer answer = ask("GET /a%20b?x=1 HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n");
  EXPECT_TRUE(begins(answer, "200"));
  EXPECT_FALSE(answer.close);
  EXPECT_TRUE(answer.bytes.ends_with("\r\n\r\n/a b|text/html")) << answer.bytes;
  EXPECT_NE(answer.bytes.find("Content-Length: 14\r\n"), std::string::npos);
  EXPECT_NE(answer.bytes.find("X-Content-Type-Options: nosniff\r\n"), std::string::npos);
  EXPECT_NE(answer.bytes.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
}

TEST(HttpMessages, LeavesTheBodyOutForHead) {
  const HttpAnswer answer = ask("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(begins(answer, "200"));
  EXPECT_TRUE(answer.bytes.ends_with("\r\n\r\n"));
  EXPECT_NE(answer.bytes.find("Content-Length: 3\r\n"), std::string::npos);
}

TEST(HttpMessages, ClosesWhenAskedTo) {
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").close);
  EXPECT_TRUE(ask("GET / HTTP/1.0\r\n\r\n").close);
  const HttpAnswer last = ask("GET / HTTP/1.1\r\n\r\n", true);
  EXPECT_TRUE(last.close);
  EXPECT_NE(last.bytes.find("Connection: close\r\n"), std::string::npos);
}

TEST(HttpMessages, RefusesOtherMethodsAndBodies) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const HttpAnswer answer = ask(std::string(method) + " /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    EXPECT_TRUE(begins(answer, "405")) << answer.bytes;
    EXPECT_NE(answer.bytes.find("Allow: GET, HEAD\r\n"), std::string::npos);
    EXPECT_TRUE(answer.close);
  }
  for (const char* body : {"Content-Length: 5", "Transfer-Encoding: chunked", "content-length: junk"}) {
    const HttpAnswer answer = ask("GET /a HTTP/1.1\r\n" + std::string(body) + "\r\n\r\n");
    EXPECT_TRUE(begins(answer, "413")) << answer.bytes;
    EXPECT_TRUE(answer.close);
  }
  EXPECT_TRUE(begins(ask("GET /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), "200"));
}

TEST(HttpMessages, RefusesWhatIsNoHttp) {
  for (const char* bad : {"\r\n\r\n", "hello\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                          "BREW / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n"}) {
    const HttpAnswer answer = ask(bad);
    EXPECT_TRUE(begins(answer, "400")) << bad << answer.bytes;
    EXPECT_TRUE(answer.close) << bad;
  }
}

TEST(HttpMessages, IgnoresRangesHoweverMany) {
  std::string ranges = "rAnGe: bytes=0-0";
  for (int i = 0; i < 3000; ++i) ranges += ",0-0";
  const HttpAnswer answer = ask("GET /abc HTTP/1.1\r\n" + ranges + "\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(begins(answer, "200")) << answer.bytes;
  EXPECT_TRUE(answer.bytes.ends_with("/abc|"));
}

TEST(HttpMessages, DoesNotSend100Continue) {
  EXPECT_TRUE(begins(ask("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"), "200"));
}

TEST(HttpMessages, CompressesForWhoAsks) {
  const HttpAnswer answer = ask("GET /" + std::string(2000, 'a') + " HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_TRUE(begins(answer, "200"));
  EXPECT_NE(answer.bytes.find("Content-Encoding: gzip\r\n"), std::string::npos);
  EXPECT_LT(answer.bytes.size(), 1000U);
}

TEST(HttpMessages, AnswersWhenTheHandlerThrows) {
  const HttpAnswer answer = ask("GET /throw HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(begins(answer, "500"));
  EXPECT_TRUE(answer.bytes.ends_with("page: failed: no luck\n"));
}

TEST(HttpMessages, LeavesSigpipeAsItWas) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  const HttpMessages messages(echo);
  EXPECT_EQ(std::signal(SIGPIPE, before), SIG_DFL);
}

TEST(Refusal, IsAWholeAnswer) {
  EXPECT_EQ(refusal(431, "Too Large", "no"),
            "HTTP/1.1 431 Too Large\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 3\r\n\r\nno\n");
}

}  // namespace
}  // namespace ff::metrics
