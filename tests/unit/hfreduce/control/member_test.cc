// Coordinator and members over real sockets: joining, refusing, exchanging, judging.
#include "hfreduce/control/member.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <ctime>
#include <thread>

#include "hfreduce/control/coordinator.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::control {
namespace {

using namespace std::chrono_literals;

constexpr const char* kToken = "0123456789abcdef0123456789abcdef";

struct Rendezvous {
  net::Address at;
  std::unique_ptr<Coordinator> coordinator;
};

Rendezvous open_rendezvous(int size, std::chrono::milliseconds join = 10s) {
  auto listener = net::listen_on(net::Address::tcp("127.0.0.1", 0));
  Rendezvous r;
  r.at = *net::local_address(listener->get());
  r.coordinator =
      *Coordinator::start(std::move(*listener),
                          {.size = size, .token = kToken, .join_deadline = Deadline::after(join), .probe_wait = 500ms});
  return r;
}

Hello hello_of(int rank, int size, std::string token = kToken) {
  Hello h;
  h.token = std::move(token);
  h.rank = rank;
  h.size = size;
  h.host = "host" + std::to_string(rank);
  h.pid = 1000 + rank;
  return h;
}

// A rank: a member and the recorder it answers probes from.
struct Rank {
  FlightRecorder recorder;
  std::unique_ptr<Member> member;
  Result<std::vector<Hello>> table = fail(Errc::kInternal, "not joined");

  void join(const Rendezvous& r, const Hello& hello) {
    auto made = Member::connect(r.at, Deadline::after(5s));
    ASSERT_TRUE(made.has_value()) << made.error().message();
    member = std::move(*made);
    table = member->join(hello, &recorder, Deadline::after(10s));
  }
};

std::vector<std::unique_ptr<Rank>> join_all(const Rendezvous& r, int size) {
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<std::thread> threads;
  for (int i = 0; i < size; ++i) ranks.push_back(std::make_unique<Rank>());
  for (int i = 0; i < size; ++i)
    threads.emplace_back([&, i] { ranks[static_cast<std::size_t>(i)]->join(r, hello_of(i, size)); });
  for (auto& t : threads) t.join();
  return ranks;
}

OpDesc call_of(std::uint64_t seq, std::uint64_t count) {
  OpDesc op;
  op.kind = Collective::kAllReduce;
  op.seq = seq;
  op.count = count;
  return op;
}

// A rank that speaks the protocol by hand.
struct RawRank {
  UniqueFd fd;

  void say(MessageType type, const std::string& body, int flags = 0) {
    const std::string frame = encode_frame(type, body);
    ASSERT_EQ(::send(fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL | flags), static_cast<ssize_t>(frame.size()));
  }
  void hello(const Rendezvous& r, int rank, int size) {
    auto made = net::connect_to(r.at, Deadline::after(5s));
    ASSERT_TRUE(made.has_value());
    fd = std::move(*made);
    say(MessageType::kHello, encode(hello_of(rank, size)));
  }
  // The message and the end of the connection arrive together.
  void say_and_close(MessageType type, const std::string& body) {
    say(type, body, MSG_MORE);
    fd.reset();
  }
};

// Two ranks, the second by hand.
struct Pair {
  Rendezvous r = open_rendezvous(2);
  Rank zero;
  RawRank one;

  Pair() {
    one.hello(r, 1, 2);
    zero.join(r, hello_of(0, 2));
    EXPECT_TRUE(zero.table.has_value());
    // Closing with the table unread would be a reset, which takes what was sent last with it.
    pollfd p{one.fd.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 2000), 1);
    char block[4096];
    EXPECT_GT(::recv(one.fd.get(), block, sizeof block, 0), 0);
  }
};

TEST(Member, AGoodbyeCountsThoughTheConnectionEndsWithIt) {
  Pair pair;
  FlightRecorder idle;
  pair.one.say_and_close(MessageType::kBye, encode(idle.state(), 0));
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(pair.zero.member->failed()) << pair.zero.member->verdict().message();
}

TEST(Member, AReportCountsThoughTheConnectionEndsWithIt) {
  Pair pair;
  pair.one.say_and_close(MessageType::kReport,
                         encode(Report{static_cast<std::uint8_t>(Trouble::Kind::kAborted), 1, "disk full"}));
  for (int i = 0; i < 3000 && !pair.zero.member->failed(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(pair.zero.member->verdict().message(), "aborted by rank 1: disk full");
}

TEST(Member, TheGoodbyeSaysWhatTheRankHasDone) {
  Pair pair;
  FlightRecorder done;
  done.begin(call_of(4, 64), 1);
  done.end(true, 2);
  pair.one.say(MessageType::kBye, encode(done.state(), 0));
  std::this_thread::sleep_for(50ms);
  pair.zero.recorder.begin(call_of(4, 64), 1);
  const Error verdict = pair.zero.member->report({Trouble::Kind::kTimeout, 1, "waiting"});
  EXPECT_EQ(verdict.message().find("did not take part"), std::string::npos) << verdict.message();
}

TEST(Member, AReportBeforeTheTableIsOutOnlyCostsItsSenderThePlace) {
  const Rendezvous r = open_rendezvous(2);
  for (const auto kind : {Trouble::Kind::kTimeout, Trouble::Kind::kAborted}) {
    RawRank early;
    early.hello(r, 0, 2);
    early.say(MessageType::kReport, encode(Report{static_cast<std::uint8_t>(kind), 1, "x"}));
    char byte = 0;
    pollfd p{early.fd.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 2000), 1);
    EXPECT_EQ(::recv(early.fd.get(), &byte, 1, 0), 0) << "the coordinator hangs up";
  }
  for (const auto& rank : join_all(r, 2)) EXPECT_TRUE(rank->table.has_value());
}

TEST(Member, AStrangerMayNotSendMoreThanAHello) {
  const Rendezvous r = open_rendezvous(2);
  RawRank stranger;
  auto made = net::connect_to(r.at, Deadline::after(5s));
  ASSERT_TRUE(made.has_value());
  stranger.fd = std::move(*made);
  // A frame that announces a megabyte and never ends.
  std::string frame = encode_frame(MessageType::kHello, std::string(1 << 20, 'x'));
  frame.resize(Coordinator::kHelloBytesMax + 1);
  ASSERT_EQ(::send(stranger.fd.get(), frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  pollfd p{stranger.fd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 2000), 1) << "must be refused before its five seconds are over";
  for (const auto& rank : join_all(r, 2)) EXPECT_TRUE(rank->table.has_value());
}

TEST(Member, WithoutDescriptorsTheCoordinatorRestsInsteadOfSpinning) {
  const Rendezvous r = open_rendezvous(2);
  const UniqueFd waiting(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // The lowest free descriptor was taken, so below this limit none is left.
  const rlimit none{static_cast<rlim_t>(waiting.get()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(r.at.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connected = ::connect(waiting.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  const std::clock_t begin = std::clock();
  std::this_thread::sleep_for(300ms);
  const double busy_s = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(connected, 0);
  EXPECT_LT(busy_s, 0.1);
  for (const auto& rank : join_all(r, 2)) EXPECT_TRUE(rank->table.has_value());
}

TEST(Member, AllRanksGetTheSameTable) {
  const Rendezvous r = open_rendezvous(5);
  const auto ranks = join_all(r, 5);
  for (const auto& rank : ranks) {
    ASSERT_TRUE(rank->table.has_value()) << rank->table.error().message();
    ASSERT_EQ(rank->table->size(), 5u);
    EXPECT_EQ((*rank->table)[4].host, "host4");
    EXPECT_EQ((*rank->table)[4].token, "");
  }
}

TEST(Member, ExchangeGathersEveryStringInRankOrder) {
  const Rendezvous r = open_rendezvous(3);
  const auto ranks = join_all(r, 3);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&, i] {
        const auto all =
            ranks[static_cast<std::size_t>(i)]->member->exchange(std::to_string(i * 10 + round), Deadline::after(5s));
        ASSERT_TRUE(all.has_value());
        EXPECT_EQ((*all)[0], std::to_string(round));
        EXPECT_EQ((*all)[2], std::to_string(20 + round));
      });
    for (auto& t : threads) t.join();
  }
}

TEST(Member, AMissingRankIsNamedAtTheDeadline) {
  const Rendezvous r = open_rendezvous(3, 300ms);
  Rank zero, two;
  std::thread a([&] { zero.join(r, hello_of(0, 3)); });
  std::thread b([&] { two.join(r, hello_of(2, 3)); });
  a.join();
  b.join();
  ASSERT_FALSE(zero.table.has_value());
  EXPECT_EQ(zero.table.error().code(), Errc::kTimeout);
  EXPECT_NE(zero.table.error().message().find("2 of 3 ranks joined in time; missing: 1"), std::string::npos)
      << zero.table.error().message();
  EXPECT_FALSE(two.table.has_value());
}

TEST(Member, WrongTokenSizeOrRankIsRefusedWithTheReason) {
  const Rendezvous r = open_rendezvous(2);
  Rank bad;
  bad.join(r, hello_of(1, 2, "fedcba9876543210fedcba9876543210"));
  ASSERT_FALSE(bad.table.has_value());
  EXPECT_NE(bad.table.error().message().find("wrong token"), std::string::npos);
  bad.join(r, hello_of(1, 3));
  EXPECT_NE(bad.table.error().message().find("WORLD_SIZE"), std::string::npos);
  bad.join(r, hello_of(7, 2));
  EXPECT_NE(bad.table.error().message().find("outside"), std::string::npos);
  // None of this disturbs the real ranks.
  for (const auto& rank : join_all(r, 2)) EXPECT_TRUE(rank->table.has_value());
}

TEST(Member, GarbageDoesNotDisturbTheRendezvous) {
  const Rendezvous r = open_rendezvous(2);
  auto stranger = net::connect_to(r.at, Deadline::after(1s));
  ASSERT_TRUE(stranger.has_value());
  const std::string noise(500, 'x');
  ASSERT_EQ(::send(stranger->get(), noise.data(), noise.size(), 0), 500);
  for (const auto& rank : join_all(r, 2)) EXPECT_TRUE(rank->table.has_value());
}

TEST(Member, ALostProcessIsToldToAllAtOnce) {
  const Rendezvous r = open_rendezvous(4);
  auto ranks = join_all(r, 4);
  for (auto& rank : ranks) rank->recorder.begin(call_of(9, 64), 1);
  const auto begin = std::chrono::steady_clock::now();
  ranks[2]->member->cut();
  for (const std::size_t i : {0u, 1u, 3u}) {
    while (!ranks[i]->member->failed() && std::chrono::steady_clock::now() - begin < 3s)
      std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(ranks[i]->member->failed());
    EXPECT_NE(ranks[i]->member->verdict().message().find("rank 2 (host host2, pid 1002) is gone during all_reduce #9"),
              std::string::npos)
        << ranks[i]->member->verdict().message();
    EXPECT_EQ(ranks[i]->member->lost_ranks(), std::vector<int>{2});
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST(Member, ATimeoutNamesTheRankThatDidNotCall) {
  const Rendezvous r = open_rendezvous(3);
  auto ranks = join_all(r, 3);
  for (const std::size_t i : {0u, 2u}) ranks[i]->recorder.begin(call_of(4, 64), 1);
  const Error verdict = ranks[0]->member->report({Trouble::Kind::kTimeout, 2, "waiting"});
  EXPECT_EQ(verdict.code(), Errc::kTimeout);
  EXPECT_NE(verdict.message().find("rank 1 (host host1, pid 1001) did not take part in all_reduce #4"),
            std::string::npos)
      << verdict.message();
}

TEST(Member, TheCoordinatorsDeathIsRankZeros) {
  Rendezvous r = open_rendezvous(2);
  auto ranks = join_all(r, 2);
  ranks[0].reset();
  r.coordinator.reset();  // leaves in good order: no failure
  std::this_thread::sleep_for(50ms);
  EXPECT_FALSE(ranks[1]->member->failed());
  const Error verdict = ranks[1]->member->report({Trouble::Kind::kLinkLost, 0, "closed"});
  EXPECT_NE(verdict.message().find("rank 0 had left"), std::string::npos) << verdict.message();
}

TEST(Member, AnAbortReachesEveryone) {
  const Rendezvous r = open_rendezvous(3);
  auto ranks = join_all(r, 3);
  const Error mine = ranks[1]->member->report({Trouble::Kind::kAborted, 1, "enough"});
  EXPECT_EQ(mine.code(), Errc::kCancelled);
  for (auto& rank : ranks) {
    for (int i = 0; i < 1000 && !rank->member->failed(); ++i) std::this_thread::sleep_for(1ms);
    EXPECT_EQ(rank->member->verdict().message(), "aborted by rank 1: enough");
  }
}

}  // namespace
}  // namespace ff::hfreduce::control
