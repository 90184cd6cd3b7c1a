// Goal: whatever one client does, others are served, memory and threads stay bounded, and every wait ends. Real sockets
// on port 0; short deadlines in the options, long ones in the test, so that a busy machine does not fail it.
#include "libcommon/metrics/http_loop.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "libcommon/base/defer.hpp"
#include "tests/unit/libcommon/metrics/http_client.hpp"

namespace ff::metrics {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using testing::Client;
using testing::fetch;

HttpReply hello(const HttpRequest& request) {
  return {.status = 200, .type = "text/plain", .body = "hello " + request.path};
}

std::unique_ptr<HttpLoop> start(HttpLoopOptions options, std::function<HttpReply(const HttpRequest&)> handler = hello) {
  auto loop = HttpLoop::start(std::move(options), std::move(handler));
  EXPECT_TRUE(loop) << loop.error().message();
  return std::move(*loop);
}

TEST(HttpLoop, TellsThePortItGot) {
  const auto loop = start({});
  EXPECT_NE(loop->port(), 0);
  EXPECT_EQ(loop->endpoint(), "127.0.0.1:" + std::to_string(loop->port()));
  EXPECT_EQ(fetch(loop->port(), "/x").body, "hello /x");
}

TEST(HttpLoop, RefusesOptionsAndAddresses) {
  const auto code = [](HttpLoopOptions options) { return HttpLoop::start(std::move(options), hello).error().code(); };
  EXPECT_EQ(code({.address = "localhost"}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.address = ""}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.workers = 0}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.connections_max = 0}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.head_bytes_max = 2 << 20}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.head_timeout = 0s}), Errc::kInvalidArgument);
}

TEST(HttpLoop, NamesAPortThatIsTaken) {
  const auto loop = start({});
  const auto second = HttpLoop::start({.port = loop->port()}, hello);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(), loop->endpoint() + ": Address already in use");
}

TEST(HttpLoop, KeepsAConnectionForSeveralRequests) {
  const auto loop = start({});
  Client client(loop->port());
  for (int i = 0; i < 5; ++i) {
    client.get("/" + std::to_string(i));
    EXPECT_EQ(client.read().body, "hello /" + std::to_string(i));
  }
  // Sent ahead, answered in order.
  client.get("/a");
  client.get("/b", "Connection: close\r\n");
  EXPECT_EQ(client.read().body, "hello /a");
  EXPECT_EQ(client.read().body, "hello /b");
  EXPECT_TRUE(client.closes());
}

TEST(HttpLoop, ServesOthersWhileManyClientsSendHalfARequest) {
  const auto loop = start({.workers = 1, .connections_max = 8, .head_timeout = 60s});
  std::vector<Client> slow;
  for (int i = 0; i < 20; ++i) {
    slow.emplace_back(loop->port());
    EXPECT_TRUE(slow.back().send("GET /metrics HTTP/1.1\r\nX-Half: "));
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(fetch(loop->port(), "/x").status, 200);
  // The oldest had to make room.
  EXPECT_TRUE(slow.front().closes());
}

TEST(HttpLoop, EndsAClientThatDripsItsRequest) {
  const auto loop = start({.head_timeout = 300ms});
  Client client(loop->port());
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.send("GET / HTTP/1.1\r\nX: "));
  // Each byte comes in time for a server that starts its wait anew with each.
  Answer answer;
  while (answer.status == 0 && std::chrono::steady_clock::now() - begun < 10s) {
    (void)client.send("a");
    answer = client.read(50ms);
  }
  EXPECT_EQ(answer.status, 408);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 300ms);
  EXPECT_TRUE(client.closes());
}

TEST(HttpLoop, ClosesIdleConnections) {
  const auto loop = start({.head_timeout = 100ms, .idle_timeout = 100ms});
  Client silent(loop->port());
  EXPECT_TRUE(silent.closes());
  Client kept(loop->port());
  kept.get("/x");
  EXPECT_EQ(kept.read().status, 200);
  EXPECT_TRUE(kept.closes());
}

TEST(HttpLoop, RefusesALongHeadWithoutReadingItAll) {
  const auto loop = start({.head_bytes_max = 1000});
  Client client(loop->port());
  client.get("/x", "X: " + std::string(2000, 'a') + "\r\n");
  EXPECT_EQ(client.read().status, 431);
  EXPECT_TRUE(client.closes());
  // Without end: the server stops it, in bounded memory.
  Client endless(loop->port());
  const std::string chunk(4096, 'a');
  bool refused = false;
  for (int i = 0; i < 10'000 && !refused; ++i) refused = !endless.send(chunk);
  EXPECT_TRUE(refused);
}

TEST(HttpLoop, AnswersGarbage) {
  const auto loop = start({});
  Client client(loop->port());
  EXPECT_TRUE(client.send(std::string_view("\x16\x03\x01\x00\xff\x00\r\n\r\n", 10)));
  EXPECT_EQ(client.read().status, 400);
  EXPECT_TRUE(client.closes());
}

TEST(HttpLoop, CutsOffAReaderThatDoesNotRead) {
  const std::string large(64 << 20, 'x');
  const auto loop = start({.workers = 1, .write_timeout = 300ms}, [&](const HttpRequest& request) {
    return HttpReply{
        .status = 200, .type = "application/octet-stream", .body = request.path == "/large" ? large : "small"};
  });
  Client client(loop->port(), 4096);
  client.get("/large");
  // The one worker is free although the answer is not read.
  EXPECT_EQ(fetch(loop->port(), "/small").body, "small");
  std::this_thread::sleep_for(600ms);
  EXPECT_TRUE(client.closes());
}

TEST(HttpLoop, AnswersForAHandlerThatHangsAndServesOthersMeanwhile) {
  std::latch release(1);
  std::atomic<int> hanging{0};
  const auto loop = start({.workers = 2, .handle_timeout = 300ms}, [&](const HttpRequest& request) {
    if (request.path == "/hang") {
      ++hanging;
      release.wait();
    }
    return hello(request);
  });
  const Defer let_go([&] { release.count_down(); });
  EXPECT_EQ(fetch(loop->port(), "/hang").status, 503);
  EXPECT_EQ(fetch(loop->port(), "/x").status, 200);
  // Both workers hang: those that wait in the queue get an answer as well, and are not begun later.
  EXPECT_EQ(fetch(loop->port(), "/hang").status, 503);
  EXPECT_EQ(fetch(loop->port(), "/hang").status, 503);
  EXPECT_EQ(hanging, 2);
}

TEST(HttpLoop, DoesNotDropARequestThatIsBeingAnsweredForANewClient) {
  std::latch entered(2), release(1);
  const auto loop = start({.workers = 2, .connections_max = 2}, [&](const HttpRequest& request) {
    if (request.path == "/wait") {
      entered.count_down();
      release.wait();
    }
    return hello(request);
  });
  Client a(loop->port()), b(loop->port());
  a.get("/wait");
  b.get("/wait");
  entered.wait();
  Client c(loop->port());
  c.get("/c");
  EXPECT_EQ(c.read(100ms).status, 0);
  release.count_down();
  EXPECT_EQ(a.read().body, "hello /wait");
  EXPECT_EQ(b.read().body, "hello /wait");
  EXPECT_EQ(c.read().body, "hello /c");
}

TEST(HttpLoop, StopsAtOnceWithIdleConnections) {
  const auto loop = start({});
  Client idle(loop->port()), half(loop->port());
  EXPECT_TRUE(half.send("GET / HT"));
  idle.get("/x");
  EXPECT_EQ(idle.read().status, 200);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(loop->stop(Deadline::after(30s)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  EXPECT_TRUE(idle.closes());
  EXPECT_TRUE(half.closes());
  EXPECT_TRUE(loop->stop(Deadline::after(0s)));
}

TEST(HttpLoop, FinishesWhatItAnswersBeforeItStops) {
  std::latch entered(1), release(1);
  const auto loop = start({}, [&](const HttpRequest& request) {
    entered.count_down();
    release.wait();
    return hello(request);
  });
  Client client(loop->port());
  client.get("/x");
  entered.wait();
  std::thread releaser([&] {
    std::this_thread::sleep_for(50ms);
    release.count_down();
  });
  EXPECT_TRUE(loop->stop(Deadline::after(30s)));
  releaser.join();
  EXPECT_EQ(client.read().body, "hello /x");
}

TEST(HttpLoop, StopKeepsItsDeadlineWhenAHandlerHangs) {
  std::latch entered(1), release(1);
  const auto loop = start({}, [&](const HttpRequest& request) {
    entered.count_down();
    release.wait();
    return hello(request);
  });
  Client client(loop->port());
  client.get("/x");
  entered.wait();
  const auto begun = std::chrono::steady_clock::now();
  const auto stopped = loop->stop(Deadline::after(200ms));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Errc::kTimeout);
  release.count_down();
  EXPECT_TRUE(loop->stop(Deadline::after(30s)));
}

TEST(HttpLoop, GoesOnAfterRunningOutOfDescriptors) {
  const auto loop = start({});
  Client open(loop->port());
  open.get("/x");
  EXPECT_EQ(open.read().status, 200);
  // The client's own descriptor is there before the limit, so that only the server's accept fails.
  Client late;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  {
    const UniqueFd lowest_free(::dup(0));
    const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest_free.get()), .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  {
    const Defer restore([&] { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0); });
    late.connect(loop->port());
    late.get("/z");
    EXPECT_EQ(late.read(250ms).status, 0);
    open.get("/y");
    EXPECT_EQ(open.read().body, "hello /y");
  }
  EXPECT_EQ(late.read().body, "hello /z");
}

TEST(HttpLoop, ServesManyClientsAtOnce) {
  const auto loop = start({.workers = 4});
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t)
    clients.emplace_back([&, t] {
      Client client(loop->port());
      for (int i = 0; i < 100; ++i) {
        const std::string path = "/" + std::to_string(t * 1000 + i);
        client.get(path);
        good += client.read().body == "hello " + path;
      }
    });
  for (auto& client : clients) client.join();
  EXPECT_EQ(good, 400);
}

TEST(HttpLoop, ClosesAfterAThousandRequests) {
  const auto loop = start({});
  Client client(loop->port());
  for (int i = 1; i <= 1000; ++i) {
    client.get("/x");
    const Answer answer = client.read();
    ASSERT_EQ(answer.status, 200) << i;
    ASSERT_EQ(answer.head.find("Connection: close") != std::string::npos, i == 1000) << i;
  }
  EXPECT_TRUE(client.closes());
}

TEST(HttpLoop, ListensOnIpv6) {
  const auto loop = HttpLoop::start({.address = "::1"}, hello);
  if (!loop) GTEST_SKIP() << "no IPv6 here: " << loop.error().message();
  EXPECT_EQ((*loop)->endpoint(), "[::1]:" + std::to_string((*loop)->port()));
}

}  // namespace
}  // namespace ff::metrics
