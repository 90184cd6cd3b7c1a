#include "libcommon/runtime/socket.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "tests/unit/libcommon/runtime/real_env_fixture.hpp"

namespace ff::runtime {
namespace {

using SocketTest = RealEnvTest;
FF_TEST_ON_BOTH_BACKENDS(SocketTest);

std::string received_text(Result<Received>& received) {
  if (!received) return "error: " + received.error().message();
  return text_of(*received);
}

TEST_P(SocketTest, ConnectsAcceptsAndCarriesBytesBothWays) {
  TcpListener listener;
  auto client = [&]() -> Task<Result<>> {
    UniqueFd fd = tcp_socket();
    FF_CO_TRY(co_await env().connect(fd.get(), listener.address, listener.length));
    auto socket = env().adopt(std::move(fd));
    FF_CO_TRY(co_await write_text(*socket, "ping"));
    auto reply = co_await socket->receive();
    EXPECT_EQ(received_text(reply), "pong");
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(client());
    FF_CO_TRY_ASSIGN(UniqueFd fd, co_await env().accept(listener.fd.get()));
    EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
    auto socket = env().adopt(std::move(fd));
    auto request = co_await socket->receive();
    EXPECT_EQ(received_text(request), "ping");
    FF_CO_TRY(co_await write_text(*socket, "pong"));
    for (int i = 0; i < 3; ++i) {  // the end of the stream stays the end
      auto end = co_await socket->receive();
      EXPECT_EQ(received_text(end), "");
    }
    co_return {};
  };
  expect_ok(with_scope(body));
}

TEST_P(SocketTest, ConnectingWhereNobodyListensIsUnavailable) {
  TcpListener listener;
  listener.fd.reset();
  auto program = [&]() -> Task<Result<>> {
    UniqueFd fd = tcp_socket();
    auto result = co_await env().connect(fd.get(), listener.address, listener.length);
    EXPECT_EQ(code_of(result), Errc::kUnavailable);
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, ReadExactCollectsPiecesAndPlacesThemInTheCallersMemory) {
  auto [a, b] = socket_pair();
  const auto sent = pattern(10'000);
  std::vector<std::byte> got(sent.size());
  auto sender = [&]() -> Task<Result<>> {
    for (std::size_t at = 0; at < sent.size(); at += 1000) {
      const iovec part{const_cast<std::byte*>(sent.data()) + at, 1000};
      FF_CO_TRY(co_await a->write({&part, 1}));
      FF_CO_TRY(co_await sleep(1ms));
    }
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(sender());
    FF_CO_TRY(co_await b->read_exact(std::span(got).first(10)));
    FF_CO_TRY(co_await b->read_exact(std::span(got).subspan(10)));
    FF_CO_TRY(co_await b->read_exact({}));
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(got, sent);
}

TEST_P(SocketTest, AnEndBeforeReadExactIsFullIsUnavailableAndSaysHowFarItCame) {
  auto [a, b] = socket_pair();
  std::array<std::byte, 10> into;
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await write_text(*a, "abc"));
    a.reset();
    auto result = co_await b->read_exact(into);
    EXPECT_EQ(code_of(result), Errc::kUnavailable);
    EXPECT_NE(result.error().message().find("3 of 10"), std::string::npos) << result.error().message();
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, AResetIsUnavailableForReaderAndWriter) {
  TcpListener listener;
  auto program = [&]() -> Task<Result<>> {
    UniqueFd fd = tcp_socket();
    FF_CO_TRY(co_await env().connect(fd.get(), listener.address, listener.length));
    FF_CO_TRY_ASSIGN(UniqueFd accepted, co_await env().accept(listener.fd.get()));
    auto socket = env().adopt(std::move(accepted));
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    fd.reset();
    auto received = co_await socket->receive();
    EXPECT_EQ(code_of(received), Errc::kUnavailable);
    auto written = co_await write_text(*socket, "x");  // and no SIGPIPE
    EXPECT_EQ(code_of(written), Errc::kUnavailable);
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, ALargeWriteOfManyPartsReachesASlowReaderWhole) {
  auto [a, b] = socket_pair();
  const int small = 16 << 10;
  ::setsockopt(a->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  const auto sent = pattern(4 << 20);
  std::vector<iovec> parts;
  std::size_t at = 0;
  for (std::size_t i = 0; at < sent.size(); ++i) {
    const std::size_t bytes = std::min((i * 977) % 9000, sent.size() - at);  // some are empty
    parts.push_back({const_cast<std::byte*>(sent.data()) + at, bytes});
    at += bytes;
  }
  ASSERT_LE(parts.size(), 1024u);
  std::vector<std::byte> got;
  auto reader = [&]() -> Task<Result<>> {
    while (got.size() < sent.size()) {
      FF_CO_TRY_ASSIGN(Received some, co_await b->receive());
      EXPECT_FALSE(some.bytes().empty());
      got.insert(got.end(), some.bytes().begin(), some.bytes().end());
      if (got.size() < (64 << 10)) FF_CO_TRY(co_await sleep(1ms));
    }
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(reader());
    co_return co_await a->write(parts);
  };
  expect_ok(with_scope(body));
  EXPECT_TRUE(got == sent);
}

TEST_P(SocketTest, RefusesTooManyPartsAndSendsNothing) {
  auto [a, b] = socket_pair();
  std::vector<iovec> parts(1025, part_of("x"));
  EXPECT_EQ(code_of(run(a->write(parts))), Errc::kInvalidArgument);
  expect_ok(a->write({}));
}

// Each operation, waiting for what does not come, ends with the error of its context and leaves the socket usable.
TEST_P(SocketTest, EveryOperationCanBeCancelled) {
  TcpListener listener;
  auto [a, b] = socket_pair();
  auto program = [&]() -> Task<Result<>> {
    EXPECT_EQ(code_of(co_await with_timeout(5ms, "accept", env().accept(listener.fd.get()))), Errc::kTimeout);
    EXPECT_EQ(code_of(co_await with_timeout(5ms, "receive", a->receive())), Errc::kTimeout);
    std::array<std::byte, 8> into;
    EXPECT_EQ(code_of(co_await with_timeout(5ms, "read", a->read_exact(into))), Errc::kTimeout);
    // Nothing of the cancelled reads swallows what comes later.
    FF_CO_TRY(co_await write_text(*b, "later"));
    auto received = co_await a->receive();
    EXPECT_EQ(received_text(received), "later");

    std::vector<std::byte> much(8 << 20);
    const iovec part{much.data(), much.size()};
    EXPECT_EQ(code_of(co_await with_timeout(20ms, "write", a->write({&part, 1}))), Errc::kTimeout);
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, ACancelledConnectEnds) {
  // A listener whose backlog is full does not answer: connecting to it waits.
  TcpListener listener(0);
  std::vector<UniqueFd> others;
  auto program = [&]() -> Task<Result<>> {
    for (int i = 0; i < 8; ++i) {
      UniqueFd fd = tcp_socket();
      auto result = co_await with_timeout(30ms, "connect", env().connect(fd.get(), listener.address, listener.length));
      if (!result) {
        EXPECT_EQ(code_of(result), Errc::kTimeout);
        co_return {};
      }
      others.push_back(std::move(fd));
    }
    ADD_FAILURE() << "all connections were taken";
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, OperationsOfACancelledContextFailAtOnceAndDoNothing) {
  TcpListener listener;
  auto [a, b] = socket_pair();
  Context over(env());
  over.cancel(Error(Errc::kCancelled, "over"));
  std::array<std::byte, 1> into;
  auto program = [&]() -> Task<Result<>> {
    EXPECT_EQ(code_of(co_await write_text(*a, "x").under(over)), Errc::kCancelled);
    FF_CO_TRY(co_await write_text(*a, "y"));
    EXPECT_EQ(code_of(co_await b->receive().under(over)), Errc::kCancelled);
    EXPECT_EQ(code_of(co_await b->read_exact(into).under(over)), Errc::kCancelled);
    EXPECT_EQ(code_of(co_await env().accept(listener.fd.get()).under(over)), Errc::kCancelled);
    UniqueFd fd = tcp_socket();
    EXPECT_EQ(code_of(co_await env().connect(fd.get(), listener.address, listener.length).under(over)),
              Errc::kCancelled);
    auto received = co_await b->receive();
    EXPECT_EQ(received_text(received), "y");
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, ShutdownEndsRunningOperations) {
  auto [a, b] = socket_pair();
  std::string log;
  std::vector<std::byte> much(8 << 20);
  auto reader = [&]() -> Task<Result<>> {
    auto end = co_await a->receive();
    log += received_text(end) == "" ? "r" : "?";
    co_return {};
  };
  auto writer = [&]() -> Task<Result<>> {
    const iovec part{much.data(), much.size()};
    auto result = co_await a->write({&part, 1});
    EXPECT_EQ(code_of(result), Errc::kUnavailable);
    log += "w";
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    scope.spawn(reader());
    scope.spawn(writer());
    FF_CO_TRY(co_await sleep(5ms));
    EXPECT_EQ(log, "");
    a->shutdown();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(log.size(), 2u);
}

TEST_P(SocketTest, AThousandIdleSocketsHoldNoBufferAndAllWakeUp) {
  make({.receive_buffers = 16, .receive_buffer_bytes = 4096});
  constexpr std::size_t kSockets = 1000;
  std::vector<std::unique_ptr<Socket>> near, far;
  for (std::size_t i = 0; i < kSockets; ++i) {
    auto [a, b] = socket_pair();
    near.push_back(std::move(a));
    far.push_back(std::move(b));
  }
  std::size_t right = 0;
  auto reader = [&](std::size_t i) -> Task<Result<>> {
    for (int round = 0; round < 3; ++round) {
      auto received = co_await near[i]->receive();
      right += received_text(received) == std::to_string(i) ? 1 : 0;
      FF_CO_TRY(co_await write_text(*near[i], "ok"));
    }
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    for (std::size_t i = 0; i < kSockets; ++i) scope.spawn(reader(i));
    FF_CO_TRY(co_await sleep(10ms));
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < kSockets; ++i) FF_CO_TRY(co_await write_text(*far[i], std::to_string(i)));
      for (std::size_t i = 0; i < kSockets; ++i) {
        std::array<std::byte, 2> ok;
        FF_CO_TRY(co_await far[i]->read_exact(ok));
      }
    }
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(right, 3 * kSockets);
}

TEST_P(SocketTest, ReadersWaitForBuffersToComeBackAndNoneIsForgotten) {
  make({.receive_buffers = 2, .receive_buffer_bytes = 64});
  constexpr std::size_t kSockets = 20;
  std::vector<std::unique_ptr<Socket>> near, far;
  for (std::size_t i = 0; i < kSockets; ++i) {
    auto [a, b] = socket_pair();
    near.push_back(std::move(a));
    far.push_back(std::move(b));
  }
  std::size_t done = 0;
  // Reads to the end, keeping each buffer for a while.
  auto reader = [&](std::size_t i) -> Task<Result<>> {
    std::string all;
    for (;;) {
      FF_CO_TRY_ASSIGN(Received some, co_await near[i]->receive());
      if (some.bytes().empty()) break;
      all += text_of(some);
      FF_CO_TRY(co_await sleep(100us));
    }
    EXPECT_EQ(all.size(), 300u);
    ++done;
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    for (std::size_t i = 0; i < kSockets; ++i) {
      scope.spawn(reader(i));
      FF_CO_TRY(co_await write_text(*far[i], std::string(300, 'x')));
    }
    for (auto& socket : far) socket.reset();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(done, kSockets);
}

// The kernel may have refused one reader a buffer, and not told it yet, when another gives the last one back.
TEST_P(SocketTest, ABufferThatComesBackBeforeARefusalIsSeenIsNotMissed) {
  make({.receive_buffers = 1, .receive_buffer_bytes = 64});
  auto [a, b] = socket_pair();
  auto [c, d] = socket_pair();
  auto read_one = [](Socket& socket) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const Received received, co_await socket.receive());
    EXPECT_EQ(received.bytes().size(), 1u);
    co_return {};
  };
  auto program = [&]() -> Task<Result<>> {
    for (int round = 0; round < 20; ++round) {
      FF_CO_TRY(co_await write_text(*b, "1"));
      FF_CO_TRY(co_await write_text(*d, "2"));
      auto [first, second] =
          co_await when_all(with_timeout(2s, "the first", read_one(*a)), with_timeout(2s, "the second", read_one(*c)));
      FF_CO_TRY(first);
      FF_CO_TRY(second);
    }
    co_return {};
  };
  expect_ok(program());
}

TEST_P(SocketTest, AReaderThatLeavesTheLineForABufferLetsTheNextOneHaveIt) {
  make({.receive_buffers = 1, .receive_buffer_bytes = 64});
  auto [a, b] = socket_pair();
  auto [c, d] = socket_pair();
  auto [e, f] = socket_pair();
  std::string log;
  auto patient = [&]() -> Task<Result<>> {
    auto received = co_await e->receive();
    log += "patient:" + received_text(received);
    co_return {};
  };
  auto impatient = [&]() -> Task<Result<>> {
    auto received = co_await with_timeout(20ms, "impatient", c->receive());
    log += received ? "?" : "left ";
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    FF_CO_TRY(co_await write_text(*b, "1"));
    FF_CO_TRY(co_await write_text(*d, "2"));
    FF_CO_TRY(co_await write_text(*f, "3"));
    FF_CO_TRY_ASSIGN(Received held, co_await a->receive());
    scope.spawn(impatient());
    FF_CO_TRY(co_await sleep(2ms));
    scope.spawn(patient());
    FF_CO_TRY(co_await sleep(50ms));
    EXPECT_EQ(log, "left ");
    held = Received();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(log, "left patient:3");
  auto rest = run(c->receive());  // nothing was lost
  EXPECT_EQ(received_text(rest), "2");
}

TEST_P(SocketTest, TheEndOfAStreamDoesNotKeepAFreeBufferFromOthers) {
  make({.receive_buffers = 1, .receive_buffer_bytes = 64});
  auto [a, b] = socket_pair();
  auto [c, d] = socket_pair();
  auto [e, f] = socket_pair();
  std::string log;
  auto reader = [&](Socket& socket, std::string name) -> Task<Result<>> {
    auto received = co_await socket.receive();
    log += name + received_text(received) + " ";
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    FF_CO_TRY(co_await write_text(*b, "1"));
    d.reset();  // c is at its end: it needs no buffer, but cannot know
    FF_CO_TRY(co_await write_text(*f, "3"));
    FF_CO_TRY_ASSIGN(Received held, co_await a->receive());
    scope.spawn(reader(*c, "c:"));
    FF_CO_TRY(co_await sleep(2ms));
    scope.spawn(reader(*e, "e:"));
    FF_CO_TRY(co_await sleep(2ms));
    held = Received();
    co_return {};
  };
  expect_ok(with_scope(body));
  EXPECT_EQ(log, "c: e:3 ");
}

TEST_P(SocketTest, TwoReadersAtOnceAreABug) {
  auto [a, b] = socket_pair();
  auto body = [&](Scope& scope) -> Task<Result<>> {
    auto reader = [&]() -> Task<Result<>> {
      (void)co_await a->receive();
      co_return {};
    };
    scope.spawn(reader());
    scope.spawn(reader());
    co_return co_await sleep(1s);
  };
  EXPECT_DEATH((void)run(with_scope(body)), "flag_");
}

// In a child process, because the limit cannot be raised again.
void accept_without_descriptors(RealEnv& env) {
  TcpListener listener;
  UniqueFd client = tcp_socket();
  if (::connect(client.get(), reinterpret_cast<sockaddr*>(&listener.address), listener.length) != 0) _exit(2);
  auto program = [&]() -> Task<Result<>> {
    const rlimit now{.rlim_cur = static_cast<rlim_t>(::dup(0)), .rlim_max = 4096};  // nothing beyond what is open
    if (::setrlimit(RLIMIT_NOFILE, &now) != 0) _exit(3);
    for (int i = 0; i < 3; ++i) {
      auto refused = co_await env.accept(listener.fd.get());
      if (refused || refused.error().code() != Errc::kExhausted) _exit(4);
    }
    client.reset(::dup2(0, client.get()));  // hangs up, keeping the number
    ::close(0);                             // one descriptor comes free
    co_return {};
  };
  if (!env.run(with_timeout(10s, "child", program()))) _exit(5);
  _exit(0);
}

TEST_P(SocketTest, AcceptWithoutDescriptorsIsExhaustedAndNotAnEndlessLoop) {
  EXPECT_EXIT(accept_without_descriptors(env()), testing::ExitedWithCode(0), "");
}

TEST_P(SocketTest, ThroughputOfManyStreamsAtOnceIsWholeAndInOrder) {
  constexpr int kStreams = 8;
  constexpr std::size_t kBytes = 1 << 20;
  std::vector<std::unique_ptr<Socket>> near, far;
  for (int i = 0; i < kStreams; ++i) {
    auto [a, b] = socket_pair();
    near.push_back(std::move(a));
    far.push_back(std::move(b));
  }
  auto send = [&](std::size_t i) -> Task<Result<>> {
    const auto data = pattern(kBytes, static_cast<unsigned>(i));
    for (std::size_t at = 0, n = 1; at < kBytes; at += n, n = n * 3 % 50'021 + 1) {
      n = std::min(n, kBytes - at);
      const iovec part{const_cast<std::byte*>(data.data()) + at, n};
      FF_CO_TRY(co_await far[i]->write({&part, 1}));
    }
    far[i].reset();
    co_return {};
  };
  auto receive = [&](std::size_t i) -> Task<Result<>> {
    const auto expected = pattern(kBytes, static_cast<unsigned>(i));
    std::size_t at = 0;
    for (;;) {
      FF_CO_TRY_ASSIGN(Received some, co_await near[i]->receive());
      if (some.bytes().empty()) break;
      if (std::memcmp(some.bytes().data(), expected.data() + at, some.bytes().size()) != 0) {
        co_return fail(Errc::kCorrupt, "stream " + std::to_string(i) + " at " + std::to_string(at));
      }
      at += some.bytes().size();
    }
    EXPECT_EQ(at, kBytes);
    co_return {};
  };
  auto body = [&](Scope& scope) -> Task<Result<>> {
    for (std::size_t i = 0; i < kStreams; ++i) {
      scope.spawn(send(i));
      scope.spawn(receive(i));
    }
    co_return {};
  };
  expect_ok(with_scope(body));
}

}  // namespace
}  // namespace ff::runtime
