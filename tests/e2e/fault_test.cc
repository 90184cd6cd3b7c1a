// Eight rank processes in a loop of collectives; at a random moment one is killed (-9), stopped, or has a connection
// cut from outside. Every survivor must return the same kind of error, naming that rank, within its timeout plus the
// control plane's grace; none may hang, and nothing may be left behind on the host.
//
// HFR_FAULT_ROUNDS sets the rounds per case (default 100).
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::hfreduce {
namespace {

using namespace std::chrono_literals;

constexpr int kRanks = 8;
// A stopped process is found by the call's deadline; a dead or cut one must be found long before it.
constexpr auto kStopTimeout = 500ms;
constexpr auto kOtherTimeout = 20s;
// The control plane's probe and verdict, and eight processes on two busy cores.
constexpr auto kGrace = 4s;

enum class Fault { kKill, kStop, kCut };
struct Case {
  const char* name;
  Transport transport;
  int hosts;  // pretended hosts; 1 leaves it to the transport
  Fault fault;
};

struct RankProcess {
  pid_t pid = -1;
  UniqueFd output;
  std::string text;
};

// The life of one rank: collectives of many shapes until one fails; what it returned goes to `out`.
[[noreturn]] void run_rank(const UniqueId& id, int rank, int listen_fd, const Case& c, int out) {
  Config config;
  config.timeout = c.fault == Fault::kStop ? std::chrono::nanoseconds(kStopTimeout) : kOtherTimeout;
  config.connect_timeout = 30s;
  config.transport = c.transport;
  if (c.hosts > 1) config.host_id = fmt::format("h{}", rank * c.hosts / kRanks);
  auto made = Communicator::create(id, rank, kRanks, config, rank == 0 ? listen_fd : -1);
  if (!made) {
    dprintf(out, "SETUP %s\n", made.error().message().c_str());
    _exit(1);
  }
  Communicator& comm = **made;
  std::vector<float> data(1 << 20, 1.0f), result(1 << 20);
  Rng rng(7);  // the same on every rank
  // Eight processes start at their own pace; from here on they are in step.
  if (const auto met = comm.barrier({.timeout = 30s}); !met) {
    dprintf(out, "SETUP %s\n", met.error().message().c_str());
    _exit(1);
  }
  dprintf(out, "READY\n");
  for (;;) {
    const std::uint64_t count = 1ULL << rng.below(19);
    Result<> r = rng.below(4) == 0
                     ? comm.all_gather(data.data(), result.data(), count / kRanks, DType::kFloat32)
                     : comm.all_reduce(data.data(), result.data(), count, DType::kFloat32, ReduceOp::kSum);
    if (r) continue;
    dprintf(out, "ERROR %.*s %s\n", static_cast<int>(errc_name(r.error().code()).size()),
            errc_name(r.error().code()).data(), r.error().message().c_str());
    made->reset();
    _exit(0);
  }
}

class FaultTest : public ::testing::TestWithParam<Case> {
 protected:
  void start(const Case& c) {
    auto id = Communicator::create_id();
    ASSERT_TRUE(id.has_value());
    // The id's socket lives in this process; hand a copy to rank 0 by inheritance.
    UniqueFd listener = *net::listen_on(net::Address::tcp("127.0.0.1", 0));
    id->port = net::local_address(listener.get())->port;
    ranks_.clear();
    ranks_.resize(kRanks);
    for (int r = 0; r < kRanks; ++r) {
      int pipe_fds[2];
      ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
      const pid_t pid = ::fork();
      ASSERT_GE(pid, 0);
      if (pid == 0) run_rank(*id, r, listener.release(), c, pipe_fds[1]);
      ::close(pipe_fds[1]);
      ranks_[static_cast<std::size_t>(r)].pid = pid;
      ranks_[static_cast<std::size_t>(r)].output.reset(pipe_fds[0]);
    }
  }

  // Reads rank outputs until `done` holds for all but `except`, or the deadline passes.
  bool read_until(const Deadline& deadline, int except, const char* word) {
    for (;;) {
      std::vector<pollfd> fds;
      std::vector<RankProcess*> who;
      for (int r = 0; r < kRanks; ++r) {
        RankProcess& p = ranks_[static_cast<std::size_t>(r)];
        if (r == except || p.text.find(word) != std::string::npos || !p.output) continue;
        fds.push_back({p.output.get(), POLLIN, 0});
        who.push_back(&p);
      }
      if (fds.empty()) return true;
      if (deadline.expired()) return false;
      ::poll(fds.data(), fds.size(), deadline.poll_timeout_ms(1000));
      for (std::size_t i = 0; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        char block[4096];
        const ssize_t n = ::read(fds[i].fd, block, sizeof block);
        if (n > 0)
          who[i]->text.append(block, static_cast<std::size_t>(n));
        else
          who[i]->output.reset();
      }
    }
  }

  void reap_all() {
    for (RankProcess& p : ranks_) {
      if (p.pid < 0) continue;
      ::kill(p.pid, SIGKILL);
      ::kill(p.pid, SIGCONT);
      ::waitpid(p.pid, nullptr, 0);
      p.pid = -1;
    }
  }
  void TearDown() override { reap_all(); }

  std::vector<RankProcess> ranks_;
};

// Takes a copy of one of the process's connected TCP sockets and shuts it down.
bool cut_one_connection(pid_t pid, Rng& rng) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return false;
  std::vector<int> candidates;
  const std::string folder = fmt::format("/proc/{}/fd", pid);
  if (DIR* dir = ::opendir(folder.c_str())) {
    while (const dirent* e = ::readdir(dir))
      if (e->d_name[0] != '.') candidates.push_back(std::atoi(e->d_name));
    ::closedir(dir);
  }
  std::vector<UniqueFd> sockets;
  for (const int fd : candidates) {
    UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0)));
    if (!copy) continue;
    int domain = 0;
    socklen_t length = sizeof domain;
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_INET) continue;
    if (net::peer_address(copy.get())) sockets.push_back(std::move(copy));
  }
  if (sockets.empty()) return false;
  return ::shutdown(sockets[rng.below(sockets.size())].get(), SHUT_RDWR) == 0;
}

// Names of what a communicator could leave on a host: shared memory files and abstract sockets.
std::set<std::string> traces_on_host() {
  std::set<std::string> names;
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    if (DIR* dir = ::opendir(folder)) {
      while (const dirent* e = ::readdir(dir))
        if (std::string_view(e->d_name).find("hfr") != std::string_view::npos)
          names.insert(std::string(folder) + "/" + e->d_name);
      ::closedir(dir);
    }
  }
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);)
    if (line.find("@hfr") != std::string::npos || line.find("@hfreduce") != std::string::npos)
      names.insert(line.substr(line.find('@')));
  return names;
}

int rounds() {
  const char* text = std::getenv("HFR_FAULT_ROUNDS");
  return text != nullptr ? std::max(1, std::atoi(text)) : 100;
}

TEST_P(FaultTest, EverySurvivorNamesTheRank) {
  const Case c = GetParam();
  const auto before = traces_on_host();
  Rng rng(static_cast<std::uint64_t>(c.fault) * 1000 + static_cast<std::uint64_t>(c.hosts) * 10 +
          static_cast<std::uint64_t>(c.transport));
  for (int round = 0; round < rounds(); ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    ASSERT_NO_FATAL_FAILURE(start(c));
    ASSERT_TRUE(read_until(Deadline::after(30s), -1, "READY"));
    // Rank 0 coordinates and is a victim like any other, except where the cut would be indistinguishable from its
    // peer's.
    const int victim =
        c.fault == Fault::kCut ? 1 + static_cast<int>(rng.below(kRanks - 1)) : static_cast<int>(rng.below(kRanks));
    const pid_t pid = ranks_[static_cast<std::size_t>(victim)].pid;
    ::usleep(static_cast<useconds_t>(rng.below(40'000)));
    const Deadline limit = Deadline::after(kStopTimeout + kGrace);
    switch (c.fault) {
      case Fault::kKill: ASSERT_EQ(::kill(pid, SIGKILL), 0); break;
      case Fault::kStop: ASSERT_EQ(::kill(pid, SIGSTOP), 0); break;
      case Fault::kCut: ASSERT_TRUE(cut_one_connection(pid, rng)); break;
    }
    const bool all = read_until(limit, victim, "ERROR");
    for (int r = 0; r < kRanks; ++r) {
      if (r == victim) continue;
      const std::string& text = ranks_[static_cast<std::size_t>(r)].text;
      ASSERT_NE(text.find("ERROR"), std::string::npos)
          << "rank " << r << " hangs; victim " << victim << "; it said: " << text;
      EXPECT_NE(text.find(fmt::format("rank {}", victim)), std::string::npos)
          << "rank " << r << ", victim " << victim << ": " << text;
      EXPECT_TRUE(text.find("ERROR unavailable") != std::string::npos ||
                  text.find("ERROR timeout") != std::string::npos)
          << text;
    }
    ASSERT_TRUE(all);
    reap_all();
  }
  EXPECT_EQ(traces_on_host(), before) << "shared memory or socket left behind";
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultTest,
                         ::testing::Values(Case{"SharedMemoryKill", Transport::kShm, 1, Fault::kKill},
                                           Case{"SharedMemoryStop", Transport::kShm, 1, Fault::kStop},
                                           Case{"SharedMemoryCut", Transport::kShm, 1, Fault::kCut},
                                           Case{"TcpKill", Transport::kTcp, 1, Fault::kKill},
                                           Case{"TcpStop", Transport::kTcp, 1, Fault::kStop},
                                           Case{"TcpCut", Transport::kTcp, 1, Fault::kCut},
                                           Case{"HierarchicalKill", Transport::kAuto, 4, Fault::kKill}),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace ff::hfreduce
