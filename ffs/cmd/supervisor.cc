#include "ffs/cmd/supervisor.hpp"

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>

#include "libcommon/log/log.hpp"

namespace ff::ffs {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kGrace = 15s;
constexpr auto kPauseFirst = 200ms;
constexpr auto kPauseMost = 10s;
// One that lived this long had been well.
constexpr auto kWell = 30s;

struct Process {
  std::uint64_t node = 0;
  pid_t pid = -1;  // -1: none runs
  Clock::time_point since;
  Clock::time_point again;  // when to start it
  std::chrono::milliseconds pause = kPauseFirst;
};

sigset_t waited_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

Result<pid_t> start(const std::string& file, std::uint64_t node, const sigset_t& former) {
  const std::string number = std::to_string(node);
  const std::array<const char*, 6> words = {"ffs", "serve", file.c_str(), "--node", number.c_str(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork"));
  if (pid > 0) return pid;
  // A group of its own: Ctrl-C reaches the supervisor, which stops the others in order.
  ::setpgid(0, 0);
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || ::getppid() != parent) ::_exit(125);
  ::execv("/proc/self/exe", const_cast<char* const*>(words.data()));
  ::_exit(126);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("exit {}", WEXITSTATUS(status));
}

class Supervisor {
 public:
  Supervisor(const ClusterFile& cluster, const sigset_t& waited, const sigset_t& former)
      : file_(cluster.path), waited_(waited), former_(former) {
    for (const ClusterNode& node : cluster.nodes) processes_.push_back({.node = number(node.id)});
  }

  Result<int> run() {
    Result<int> result = 0;
    while (true) {
      if (const Result<> started = start_due(); !started) {
        // Nothing runs yet that could be kept.
        result = fail(started.error());
        break;
      }
      const int signal = wait(next_start());
      if (signal == SIGCHLD || signal == 0) {
        reap();
      } else {
        break;
      }
    }
    stop_all();
    return result;
  }

 private:
  Result<> start_due() {
    for (Process& process : processes_) {
      if (process.pid >= 0 || process.again > Clock::now()) continue;
      const Result<pid_t> started = start(file_, process.node, former_);
      if (started) {
        process.pid = *started;
        process.since = Clock::now();
        any_started_ = true;
        continue;
      }
      if (!any_started_) return fail(started.error());
      // For want of memory or of process numbers: that passes, and the others are well.
      wait_longer(process, false);
      log::warn("node {}: {}; trying again in {} ms", process.node, started.error().message(), process.pause.count());
    }
    return {};
  }

  static void wait_longer(Process& process, bool was_well) {
    process.pause = was_well ? kPauseFirst : std::min<std::chrono::milliseconds>(process.pause * 2, kPauseMost);
    process.again = Clock::now() + process.pause;
  }

  Clock::duration next_start() const {
    Clock::duration least = 1h;
    for (const Process& process : processes_) {
      if (process.pid < 0) least = std::min(least, process.again - Clock::now());
    }
    return std::max<Clock::duration>(least, 0ns);
  }

  // The signal that came, or 0.
  int wait(Clock::duration most) const {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(most).count();
    const timespec time{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    const int signal = ::sigtimedwait(&waited_, nullptr, &time);
    return std::max(signal, 0);
  }

  void reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = std::ranges::find(processes_, pid, &Process::pid);
      if (found == processes_.end()) continue;
      found->pid = -1;
      wait_longer(*found, Clock::now() - found->since >= kWell);
      if (!stopping_)
        log::warn("node {}: {}; starting it again in {} ms", found->node, how_it_ended(status), found->pause.count());
    }
  }

  bool any() const {
    return std::ranges::any_of(processes_, [](const Process& process) { return process.pid >= 0; });
  }

  void signal_all(int number) const {
    for (const Process& process : processes_) {
      if (process.pid >= 0) ::kill(process.pid, number);
    }
  }

  void stop_all() {
    stopping_ = true;
    signal_all(SIGTERM);
    const auto until = Clock::now() + kGrace;
    bool at_once = false;
    while (any() && !at_once && Clock::now() < until) {
      const int signal = wait(std::min<Clock::duration>(until - Clock::now(), 500ms));
      // Not SIGHUP: a terminal that closes sends several.
      at_once = signal == SIGTERM || signal == SIGINT;
      reap();
    }
    if (!any()) return;
    if (at_once) {
      log::warn("asked again to stop: killing those that still run");
    } else {
      log::warn("some processes did not end within {} s: killing them", std::chrono::seconds(kGrace).count());
    }
    signal_all(SIGKILL);
    for (Process& process : processes_) {
      if (process.pid >= 0) ::waitpid(process.pid, nullptr, 0);
    }
  }

  const std::string file_;
  const sigset_t waited_, former_;
  std::vector<Process> processes_;
  bool stopping_ = false;
  bool any_started_ = false;
};

}  // namespace

Result<int> supervise(const ClusterFile& cluster) {
  const sigset_t waited = waited_signals();
  sigset_t former;
  if (::sigprocmask(SIG_BLOCK, &waited, &former) != 0) return fail(errno_error("sigprocmask"));
  const Result<int> result = Supervisor(cluster, waited, former).run();
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
  return result;
}

}  // namespace ff::ffs
