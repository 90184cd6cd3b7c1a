// Setup, windows and failures of the engine.

#include "hfreduce/shm/shm_engine.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/hfreduce/shm/shm_fixture.hpp"

namespace ff::hfreduce::shm_test {
namespace {

OpDesc sum_of(std::uint64_t count, const float* send, float* recv, std::chrono::nanoseconds wait,
              std::uint64_t seq = 1) {
  OpDesc op;
  op.kind = Collective::kAllReduce;
  op.count = count;
  op.send = send;
  op.recv = recv;
  op.seq = seq;
  op.deadline = Deadline::after(wait);
  op.signature = op_signature(op);
  return op;
}

TEST(ShmEngine, ChoosesAPathForOrdinaryBuffersByItself) {
  Ranks ranks(2, [](ShmOptions& o) { o.ordinary = ShmPath::kAuto; });
  ASSERT_TRUE(ranks.complete());
  const ShmEngine::Facts a = ranks[0].facts(), b = ranks[1].facts();
  EXPECT_EQ(a.ordinary, b.ordinary);
  EXPECT_TRUE(a.ordinary == ShmPath::kStaged || a.ordinary == ShmPath::kCma);
  if (a.cma_gbs > 0) EXPECT_EQ(a.ordinary, a.cma_gbs > a.staged_gbs ? ShmPath::kCma : ShmPath::kStaged);
  EXPECT_EQ(ranks[0].path_for(Collective::kAllReduce, 4, false), ShmPath::kFlat);
  EXPECT_EQ(ranks[0].path_for(Collective::kAllReduce, 1 << 20, true), ShmPath::kWindow);
  EXPECT_EQ(ranks[0].path_for(Collective::kAllReduce, 16 << 10, false), ShmPath::kStaged);
}

TEST(ShmEngine, NamesTheRanksThatDoNotJoin) {
  const std::string token = fresh_token();
  on_ranks(2, [&](int r) {  // the third never comes
    FakeFailure failure;
    const auto made = ShmEngine::create(options_for(r, 3, failure), token, Deadline::after(300ms));
    ASSERT_FALSE(made);
    EXPECT_TRUE(made.error().code() == Errc::kTimeout || made.error().code() == Errc::kUnavailable);
    if (r == 0)
      EXPECT_EQ(made.error().message(), "shared memory: rank 12 of this host did not join in time (did it start?)");
  });
}

TEST(ShmEngine, ReturnsTheVerdictDuringSetup) {
  FakeFailure failure;
  failure.tell_to_fail();
  for (const int rank : {0, 1}) {
    const auto made = ShmEngine::create(options_for(rank, 2, failure), fresh_token(), Deadline::after(20s));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code(), Errc::kCancelled);
  }
}

TEST(ShmEngine, RefusesOptionsThatCannotBeMeant) {
  FakeFailure failure;
  const auto code = [&](const std::function<void(ShmOptions&)>& spoil, const std::string& token = "0123456789abcdef") {
    ShmOptions options = options_for(0, 1, failure);
    spoil(options);
    const auto made = ShmEngine::create(options, token, Deadline::after(1s));
    return made ? Errc::kInternal : made.error().code();
  };
  EXPECT_EQ(code([](ShmOptions& o) { o.rank = 1; }), Errc::kInvalidArgument);
  EXPECT_EQ(code([](ShmOptions& o) { o.size = 0; }), Errc::kInvalidArgument);
  EXPECT_EQ(code([](ShmOptions& o) { o.global_ranks.clear(); }), Errc::kInvalidArgument);
  EXPECT_EQ(code([](ShmOptions& o) { o.failure = nullptr; }), Errc::kInvalidArgument);
  EXPECT_EQ(code([](ShmOptions& o) { o.ordinary = ShmPath::kFlat; }), Errc::kInvalidArgument);
  EXPECT_EQ(code([](ShmOptions&) {}, "short"), Errc::kInvalidArgument);
}

TEST(ShmWindows, AreZeroedAlignedAndReusable) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  for (const std::uint64_t bytes : {1UL, 100UL, 5000UL, 3UL << 20}) {
    const auto first = ranks[1].alloc(bytes);
    ASSERT_TRUE(first);
    const auto address = reinterpret_cast<std::uintptr_t>(*first);
    EXPECT_EQ(address % (bytes >= 2 << 20 ? 2 << 20 : 64), 0U);
    EXPECT_TRUE(ranks[1].in_window(*first, bytes));
    EXPECT_FALSE(ranks[1].in_window(&ranks, 1));
    std::memset(*first, 0x5a, bytes);
    ASSERT_TRUE(ranks[1].free(*first));
    const auto again = ranks[1].alloc(bytes);
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *first);
    const auto* data = static_cast<const std::byte*>(*again);
    EXPECT_TRUE(std::all_of(data, data + bytes, [](std::byte b) { return b == std::byte{0}; })) << bytes;
    ASSERT_TRUE(ranks[1].free(*again));
  }
}

TEST(ShmWindows, KeepNeighboursWhenOneIsFreed) {
  Ranks ranks(1);
  ASSERT_TRUE(ranks.complete());
  void* blocks[3];
  for (void*& b : blocks) {
    auto got = ranks[0].alloc(6000);
    ASSERT_TRUE(got);
    b = *got;
    std::memset(b, 0x77, 6000);
  }
  ASSERT_TRUE(ranks[0].free(blocks[1]));
  for (const int kept : {0, 2}) {
    const auto* data = static_cast<const std::byte*>(blocks[kept]);
    EXPECT_TRUE(std::all_of(data, data + 6000, [](std::byte b) { return b == std::byte{0x77}; }));
  }
}

TEST(ShmWindows, SayWhenFullAndWhoseAPointerIsNot) {
  Ranks ranks(1);
  ASSERT_TRUE(ranks.complete());
  const auto too_much = ranks[0].alloc(17 << 20);
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.error().code(), Errc::kExhausted);
  const auto window = ranks[0].alloc(100);
  ASSERT_TRUE(window);
  for (void* wrong : {static_cast<void*>(&ranks), static_cast<void*>(static_cast<std::byte*>(*window) + 64),
                      static_cast<void*>(nullptr)}) {
    const Result<> freed = ranks[0].free(wrong);
    ASSERT_FALSE(freed);
    EXPECT_EQ(freed.error().code(), Errc::kInvalidArgument);
  }
  EXPECT_TRUE(ranks[0].free(*window));
  EXPECT_FALSE(ranks[0].free(*window));
}

TEST(ShmFailures, AMismatchNamesBothCalls) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int r) {
    std::vector<float> send(100, 1.0F), recv(100);
    Progress progress;
    const Result<> outcome = ranks[r].run(sum_of(r == 0 ? 100 : 99, send.data(), recv.data(), 10s, 7), progress);
    ASSERT_FALSE(outcome);
    const auto reports = ranks.failures[static_cast<std::size_t>(r)].reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].kind, Trouble::Kind::kMismatch);
    EXPECT_EQ(reports[0].suspect, 11 - r);
    if (r == 0)
      EXPECT_EQ(reports[0].detail,
                "call 7: rank 10 called all_reduce(float, sum, 100 elements), rank 11 called all_reduce(float, sum, "
                "99 elements) as number 7");
  });
}

TEST(ShmFailures, ATimeoutNamesWhoDidNotEnterAndLasts) {
  Ranks ranks(3);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int r) {  // rank 2 stays away
    float send = 1, recv = 0;
    Progress progress;
    const auto begin = std::chrono::steady_clock::now();
    const Result<> outcome = ranks[r].run(sum_of(1, &send, &recv, 200ms), progress);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    ASSERT_FALSE(outcome);
    const auto reports = ranks.failures[static_cast<std::size_t>(r)].reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].kind, Trouble::Kind::kTimeout);
    EXPECT_EQ(reports[0].suspect, 12);
    EXPECT_EQ(progress.waiting_for.load(), 12);
    EXPECT_FALSE(ranks[r].run(sum_of(1, &send, &recv, 10s), progress)) << "a broken engine answers at once";
    EXPECT_EQ(ranks.failures[static_cast<std::size_t>(r)].reports().size(), 1U);
  });
}

TEST(ShmFailures, AVerdictEndsAWaitLongBeforeTheDeadline) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  std::jthread teller([&] {
    std::this_thread::sleep_for(100ms);
    ranks.failures[0].tell_to_fail();
  });
  float send = 1, recv = 0;
  Progress progress;
  const auto begin = std::chrono::steady_clock::now();
  const Result<> outcome = ranks[0].run(sum_of(1, &send, &recv, 60s), progress);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Errc::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(ShmFailures, DifferingTablesOfAllToAllVAreAMismatch) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int r) {
    std::vector<std::uint64_t> counts{1, 1}, displs{0, 1}, wanted{1, r == 1 ? 1U : 2U};
    std::vector<float> send(4), recv(4);
    OpDesc op;
    op.kind = Collective::kAllToAllV;
    op.send = send.data();
    op.recv = recv.data();
    op.send_counts = counts;
    op.send_displs = op.recv_displs = displs;
    op.recv_counts = wanted;
    op.signature = 3;
    op.deadline = Deadline::after(10s);
    Progress progress;
    ASSERT_FALSE(ranks[r].run(op, progress));
    EXPECT_EQ(ranks.failures[static_cast<std::size_t>(r)].reports().at(0).kind, Trouble::Kind::kMismatch);
  });
}

// --- ranks as processes ---

std::string sockets() {
  std::ifstream in("/proc/net/unix");
  std::stringstream out;
  for (std::string line; std::getline(in, line);)
    if (line.find("@hfreduce-") != std::string::npos) out << line << "\n";
  return out.str();
}

// 0 if all calls of the rank went well. Rank `victim` (if any) kills itself in the middle of the third call of the
// path.
int process_rank(int rank, int size, const std::string& token, ShmPath ordinary, bool windows, int victim) {
  FakeFailure failure;
  ShmOptions options = options_for(rank, size, failure);
  options.ordinary = ordinary;
  auto engine = ShmEngine::create(options, token, Deadline::after(30s));
  if (!engine) return 2;
  constexpr std::uint64_t kCount = 500'000;
  std::vector<float> heap_send(kCount, static_cast<float>(rank + 1)), heap_recv(kCount);
  const float* send = heap_send.data();
  float* recv = heap_recv.data();
  if (windows) {
    auto a = (*engine)->alloc(kCount * 4), b = (*engine)->alloc(kCount * 4);
    if (!a || !b) return 3;
    std::memcpy(*a, heap_send.data(), kCount * 4);
    send = static_cast<const float*>(*a);
    recv = static_cast<float*>(*b);
  }
  const auto total = static_cast<float>(size * (size + 1) / 2);
  Progress progress;
  for (std::uint64_t call = 1; call <= 5; ++call) {
    if (rank == victim && call == 3) {
      std::jthread killer([] {
        std::this_thread::sleep_for(1ms);
        ::kill(::getpid(), SIGKILL);
      });
      for (;;) (void)(*engine)->run(sum_of(kCount, send, recv, 20s, call++), progress);
    }
    const Result<> outcome = (*engine)->run(sum_of(kCount, send, recv, victim < 0 ? 30s : 500ms, call), progress);
    if (!outcome) {
      const auto reports = failure.reports();
      const bool named = reports.size() == 1 && reports[0].suspect == 10 + victim;
      return named ? 10 : 11;
    }
    if (!std::all_of(recv, recv + kCount, [&](float v) { return v == total; })) return 4;
  }
  if (victim < 0) return 0;
  for (std::uint64_t call = 6;; ++call)  // until the victim is gone
    if (!(*engine)->run(sum_of(kCount, send, recv, 500ms, call), progress)) {
      const auto reports = failure.reports();
      return reports.size() == 1 && reports[0].suspect == 10 + victim ? 10 : 11;
    }
}

std::vector<int> run_processes(int size, ShmPath ordinary, bool windows, int victim) {
  const std::string token = fresh_token();
  std::vector<pid_t> pids;
  for (int r = 0; r < size; ++r) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(process_rank(r, size, token, ordinary, windows, victim));
    pids.push_back(pid);
  }
  std::vector<int> statuses;
  for (const pid_t pid : pids) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status));
  }
  return statuses;
}

TEST(ShmProcesses, ReduceOnEveryPath) {
  const std::vector<int> good(3, 0);
  EXPECT_EQ(run_processes(3, ShmPath::kStaged, false, -1), good);
  EXPECT_EQ(run_processes(3, ShmPath::kStaged, true, -1), good);
  EXPECT_EQ(run_processes(3, ShmPath::kCma, false, -1), good);
  EXPECT_EQ(run_processes(3, ShmPath::kAuto, false, -1), good);
}

TEST(ShmProcesses, NameTheKilledRankAndLeaveNothingBehind) {
  for (const bool windows : {false, true}) {
    const std::vector<int> statuses = run_processes(2, ShmPath::kStaged, windows, 1);
    EXPECT_EQ(statuses, (std::vector<int>{10, 1000 + SIGKILL})) << "windows " << windows;
  }
  // Other tests that run now have sockets too, but only for moments.
  const Deadline patience = Deadline::after(10s);
  while (!sockets().empty() && !patience.expired()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(sockets(), "");
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    EXPECT_EQ(entry.path().string().find("hfreduce"), std::string::npos);
}

}  // namespace
}  // namespace ff::hfreduce::shm_test
