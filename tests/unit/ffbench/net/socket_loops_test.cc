// The loops over a socket pair: what is counted is what was sent, and a stall costs all who were due in it.
#include "ffbench/net/socket_loops.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>
#include <vector>

#include "ffbench/measure/clock.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;

struct Pair {
  UniqueFd a, b;
  Pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    a.reset(fds[0]);
    b.reset(fds[1]);
  }
};

TEST(SocketLoops, TheReceiverCountsEveryByteThatWasSent) {
  Pair ends;
  SocketLoop sending, receiving;
  sending.iterations = 1000;
  std::jthread receiver([&] {
    std::vector<std::byte> buffer(4096);
    EXPECT_TRUE(receive_loop(ends.b.get(), buffer, receiving));
  });
  const std::vector<std::byte> message(1234);
  EXPECT_TRUE(send_loop(ends.a.get(), message, sending));
  EXPECT_GT(sending.elapsed_ns, 0u);
  receiver.join();
  EXPECT_EQ(receiving.bytes, 1'234'000u);
  EXPECT_EQ(sending.messages, 1000u);
}

TEST(SocketLoops, AReceiverThatDiesIsAnErrorOfTheSender) {
  Pair ends;
  SocketLoop sending;
  sending.iterations = 100;
  ends.b.reset();
  const std::vector<std::byte> message(100'000);
  const auto sent = send_loop(ends.a.get(), message, sending);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Errc::kUnavailable);
}

TEST(SocketLoops, AskingCountsEveryAnswer) {
  for (const bool spin : {false, true}) {
    Pair ends;
    SocketLoop asking, answering;
    asking.iterations = 200;
    asking.spin = answering.spin = spin;
    std::jthread answerer([&] {
      std::vector<std::byte> buffer(64);
      EXPECT_TRUE(answer_loop(ends.b.get(), buffer, answering));
    });
    std::vector<std::byte> message(64);
    EXPECT_TRUE(ask_loop(ends.a.get(), message, asking));
    EXPECT_EQ(asking.answered, 200u);
    EXPECT_EQ(asking.round_trip.count(), 200u);
    EXPECT_LE(static_cast<std::uint64_t>(asking.round_trip.sum()), asking.elapsed_ns);
  }
}

TEST(SocketLoops, AnOpenLoopCountsAStallAgainstAllWhoWereDueInIt) {
  // 1000 requests a second; the answerer sleeps for 200 ms: at least 150 requests wait for 50 ms or more.
  Pair ends;
  SocketLoop asking;
  asking.rate = 1000;
  asking.tail_ns = 5'000'000'000;
  std::jthread answerer([&] {
    std::byte byte{};
    for (int i = 0; ::recv(ends.b.get(), &byte, 1, 0) == 1; ++i) {
      if (i == 100) std::this_thread::sleep_for(200ms);
      (void)::send(ends.b.get(), &byte, 1, MSG_NOSIGNAL);
    }
  });
  asking.window_from = ticks_now();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(500ms);
    asking.window_until = ticks_now();
    std::this_thread::sleep_for(100ms);  // what was due before the window's end is sent meanwhile
    asking.stop = true;
  });
  std::vector<std::byte> message(1);
  EXPECT_TRUE(open_ask_loop(ends.a.get(), message, asking));
  EXPECT_EQ(asking.unanswered, 0u);
  const std::uint64_t all = asking.round_trip.count();
  EXPECT_GE(all, 490u);
  EXPECT_GE(all - asking.round_trip.count_at_most(50'000'000), 140u);
}

TEST(SocketLoops, AnOpenLoopCountsRequestsWithoutAnswerUntilTheEnd) {
  Pair ends;
  SocketLoop asking;
  asking.rate = 1000;
  asking.tail_ns = 50'000'000;
  asking.window_from = ticks_now();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(200ms);
    asking.window_until = ticks_now();
    asking.stop = true;
  });
  std::vector<std::byte> message(1);
  (void)open_ask_loop(ends.a.get(), message, asking);
  EXPECT_GE(asking.unanswered, 190u);
  EXPECT_GE(asking.round_trip.max(), 200'000'000);
}

TEST(SocketLoops, ASpinningOpenLoopWaitsForAnswersUnderWayToo) {
  // Every answer takes 300 ms; `stop` comes while the last are under way.
  Pair ends;
  SocketLoop asking;
  asking.rate = 100;
  asking.spin = true;
  asking.tail_ns = 5'000'000'000;
  std::jthread answerer([&] {
    std::byte byte{};
    std::vector<std::chrono::steady_clock::time_point> came;
    std::jthread sender([&] {
      std::this_thread::sleep_for(600ms);
      const std::vector<std::byte> answers(200);
      (void)::send(ends.b.get(), answers.data(), came.size(), MSG_NOSIGNAL);
    });
    came.reserve(200);
    for (int i = 0; i < 20 && ::recv(ends.b.get(), &byte, 1, 0) == 1; ++i)
      came.push_back(std::chrono::steady_clock::now());
  });
  asking.window_from = ticks_now();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(195ms);
    asking.window_until = ticks_now();
    std::this_thread::sleep_for(100ms);  // what was due before the window's end is sent meanwhile
    asking.stop = true;
  });
  std::vector<std::byte> message(1);
  EXPECT_TRUE(open_ask_loop(ends.a.get(), message, asking));
  EXPECT_EQ(asking.unanswered, 0u);
  EXPECT_GE(asking.answered, 15u);
}

TEST(SocketLoops, ASenderThatWasStuckCountsWhatWasDueInNoTime) {
  // 10^8 a second for half a second, and nobody reads: some thousands fit into the socket, the others are due all the
  // same.
  Pair ends;
  SocketLoop asking;
  asking.rate = 1e8;
  asking.tail_ns = 1'000'000;
  asking.window_from = ticks_now();
  std::chrono::steady_clock::time_point freed;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(500ms);
    asking.window_until = ticks_now();
    asking.stop = true;
    freed = std::chrono::steady_clock::now();
    ::shutdown(ends.a.get(), SHUT_RDWR);
  });
  std::vector<std::byte> message(1000);
  EXPECT_FALSE(open_ask_loop(ends.a.get(), message, asking));
  stopper.join();
  EXPECT_LT(std::chrono::steady_clock::now() - freed, 250ms);
  EXPECT_GE(asking.unanswered, 45'000'000u);
  EXPECT_EQ(asking.unanswered, asking.round_trip.count());
}

}  // namespace
}  // namespace ff::bench
