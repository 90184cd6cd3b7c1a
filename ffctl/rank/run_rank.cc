#include "ffctl/rank/run_rank.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <map>
#include <numeric>
#include <optional>

#include "ffctl/rank/cgroup.hpp"
#include "ffctl/rank/lease.hpp"
#include "ffctl/rank/process_tree.hpp"
#include "ffctl/rank/rank_log.hpp"
#include "ffctl/rank/rank_process.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kListenFd = 3;
constexpr auto kKillPatience = 10s;    // then it says what is left, and goes on trying
constexpr auto kForgottenAfter = 24h;  // a rank that has ended and that no agent asks about
constexpr auto kShmEvery = 30s;
constexpr auto kOutputNews = 100ms;
constexpr std::size_t kStartBytesMax = 64u << 20;
constexpr std::size_t kLineMax = 4096;

std::int64_t unix_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class Supervisor {
 public:
  Supervisor(std::string folder, std::string number, RankStart start)
      : base_(folder + "/rank-" + number),
        start_(std::move(start)),
        log_(start_.log_folder(), start_.log_bytes(), start_.change_user() ? start_.gid() : static_cast<gid_t>(-1)),
        lease_{start_.lease_leave(), start_.lease_stop()} {}
  int run();

 private:
  void begin();
  void poll_once();
  int poll_timeout_ms() const;
  void accept_agent();
  void read_agent();
  void obey(std::string_view line);
  void say(const std::string& line);
  void read_output();
  void reap();
  void note_end(int status);
  void finish(std::string status);
  void kill_all();
  bool all_gone();
  void note_shared_files();
  void clear_shared_files();
  void on_time();
  void new_lease(std::string_view words);
  void fence();
  void keep_lease();
  void end_clean();

  const std::string base_;
  const RankStart start_;
  LogWriter log_;
  RankLease lease_;
  bool fenced_ = false, fence_term_sent_ = false, fence_killed_ = false;
  UniqueFd signals_, agent_;
  std::string from_agent_;
  RankProcess rank_;
  std::string started_, status_, cleaning_said_;  // what was said, for the next agent
  bool ended_ = false, killed_ = false, killing_ = false, cleaning_ = false, over_ = false;
  bool output_news_ = false;
  std::uint64_t oom_before_ = 0;
  std::int64_t output_ms_ = 0;
  steady_clock::time_point ended_at_, killing_since_, shm_at_ = steady_clock::now() + 1s,
                                                      news_at_ = steady_clock::now();
  std::map<std::string, std::uint64_t> shared_;  // path -> inode
};

int Supervisor::run() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGPIPE, SIG_IGN);
  for (const int signo : {SIGINT, SIGHUP, SIGTERM}) ::signal(signo, SIG_IGN);  // it ends when its rank is cleaned
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  begin();
  while (!over_) poll_once();
  return 0;
}

void Supervisor::begin() {
  if (lease_.leave != 0 && lease_clock_ms() >= lease_.leave) {
    fenced_ = true;
    finish(fmt::format("ended {} {} 0 {} 1", 128 + SIGKILL, SIGKILL, unix_ms()));
    return;
  }
  oom_before_ = start_.cgroup().empty() ? 0 : Cgroups::oom_kills(start_.cgroup());
  auto process = start_rank(start_);
  if (!process) {
    std::string reason = process.error().message();
    std::ranges::replace(reason, '\n', ' ');
    finish("failed " + reason.substr(0, 2000));
    return;
  }
  rank_ = std::move(*process);
  started_ = fmt::format("started {}", rank_.pid);
  say(started_);
}

void Supervisor::poll_once() {
  pollfd fds[4] = {
      {signals_.get(), POLLIN, 0}, {kListenFd, POLLIN, 0}, {agent_.get(), POLLIN, 0}, {rank_.output.get(), POLLIN, 0}};
  if (::poll(fds, 4, poll_timeout_ms()) < 0 && errno != EINTR) return;
  if (fds[3].revents != 0) read_output();
  if (fds[0].revents != 0) reap();
  if (fds[2].revents != 0) read_agent();
  if (fds[1].revents != 0) accept_agent();
  on_time();
}

int Supervisor::poll_timeout_ms() const {
  if (killing_) return 10;
  if (output_news_) return 100;
  const int most = ended_ ? 60'000 : 1000;
  if (lease_.leave == 0 || fence_killed_) return most;
  const std::uint64_t now = lease_clock_ms();
  const std::uint64_t next = !fenced_           ? lease_.leave
                             : fence_term_sent_ ? lease_.stop
                                                : std::midpoint(lease_.leave, lease_.stop);
  return static_cast<int>(std::min<std::uint64_t>(next > now ? next - now + 1 : 1, static_cast<std::uint64_t>(most)));
}

void Supervisor::accept_agent() {
  const int fd = ::accept4(kListenFd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  agent_.reset(fd);  // there is one agent: the newest
  from_agent_.clear();
  for (const std::string& line : {started_, status_, cleaning_said_})
    if (!line.empty()) say(line);
  if (fenced_) say("fenced");
  if (output_ms_ != 0) say(fmt::format("output {} {}", log_.end(), output_ms_));
}

void Supervisor::read_agent() {
  char block[4096];
  const ssize_t got = ::read(agent_.get(), block, sizeof block);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0 || from_agent_.size() > kLineMax) {
    agent_.reset();
    return;
  }
  from_agent_.append(block, static_cast<std::size_t>(got));
  for (std::size_t end = 0; (end = from_agent_.find('\n')) != std::string::npos;) {
    const std::string line = from_agent_.substr(0, end);
    from_agent_.erase(0, end + 1);
    obey(line);
  }
}

void Supervisor::obey(std::string_view line) {
  if (line.starts_with("signal ")) {
    int signo = 0;
    const char* const end = line.data() + line.size();
    const auto [at, error] = std::from_chars(line.data() + 7, end, signo);
    if (error != std::errc() || at != end || signo < 1 || signo >= NSIG || ended_ || rank_.pid <= 0) return;
    note_shared_files();
    if (signo == SIGKILL) killed_ = true;
    ::kill(rank_.pid, signo);
  } else if (line.starts_with("lease ")) {
    new_lease(line.substr(6));
  } else if (line == "fence") {
    fence();
  } else if (line == "kill" || line == "clean") {
    note_shared_files();
    if (line == "clean") cleaning_ = true;
    if (!ended_) killed_ = true;
    if (!killing_) killing_since_ = steady_clock::now();
    killing_ = true;
    kill_all();
  }
}

void Supervisor::say(const std::string& line) {
  if (!agent_) return;
  const std::string text = line + "\n";
  // Lines are short and few; an agent that does not read them is told again when it connects anew.
  if (::send(agent_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()))
    agent_.reset();
}

void Supervisor::read_output() {
  char block[65536];
  const ssize_t got = ::read(rank_.output.get(), block, sizeof block);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    rank_.output.reset();
    return;
  }
  log_.append({block, static_cast<std::size_t>(got)});
  output_ms_ = unix_ms();
  output_news_ = true;
}

void Supervisor::reap() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
  }
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == rank_.pid && !ended_) note_end(status);
}

void Supervisor::note_end(int status) {
  const int signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  const int code = signo != 0 ? 128 + signo : WEXITSTATUS(status);
  const bool oom =
      signo == SIGKILL && !killed_ && !start_.cgroup().empty() && Cgroups::oom_kills(start_.cgroup()) > oom_before_;
  // Its last words before the news of its end.
  for (int i = 0; i < 64 && rank_.output; ++i) read_output();
  finish(fmt::format("ended {} {} {} {} {}", code, signo, oom ? 1 : 0, unix_ms(), fenced_ ? 1 : 0));
}

void Supervisor::finish(std::string status) {
  status_ = std::move(status);
  ended_ = true;
  ended_at_ = steady_clock::now();
  // Where the disk is full the socket still tells.
  (void)write_file_atomic(base_ + ".status", status_ + "\n");
  say(status_);
}

void Supervisor::kill_all() {
  for (const pid_t pid : own_descendants()) ::kill(pid, SIGKILL);
}

bool Supervisor::all_gone() {
  reap();
  return ended_ && childless();
}

void Supervisor::note_shared_files() {
  for (const pid_t pid : own_descendants())
    for (const SharedFile& file : shared_files(pid)) shared_[file.path] = file.inode;
}

// Only what they were seen to have there, if it is still the same file, theirs, and nobody else's.
void Supervisor::clear_shared_files() {
  for (const auto& [path, inode] : shared_) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0 || info.st_ino != inode || info.st_uid != start_.uid()) continue;
    if (!in_use({path, inode})) ::unlink(path.c_str());
  }
}

void Supervisor::on_time() {
  const auto now = steady_clock::now();
  if (output_news_ && now >= news_at_) {
    say(fmt::format("output {} {}", log_.end(), output_ms_));
    output_news_ = false;
    news_at_ = now + kOutputNews;
  }
  if (!ended_ && now >= shm_at_) {
    note_shared_files();
    shm_at_ = now + kShmEvery;
  }
  keep_lease();
  if (ended_ && !cleaning_ && !agent_ && now - ended_at_ > kForgottenAfter) obey("clean");
  if (!killing_) return;
  if (all_gone()) {
    killing_ = false;
    if (cleaning_) end_clean();
    return;
  }
  kill_all();
  if (now - killing_since_ < kKillPatience || !cleaning_said_.empty()) return;
  const auto left = own_descendants();
  if (left.empty()) return;
  cleaning_said_ = fmt::format("unclean {} processes do not end, the first is {}", left.size(), left.front());
  say(cleaning_said_);
}

void Supervisor::new_lease(std::string_view words) {
  RankLease lease;
  const char* const end = words.data() + words.size();
  const auto leave = std::from_chars(words.data(), end, lease.leave);
  if (leave.ec != std::errc() || leave.ptr == end) return;
  const auto stop = std::from_chars(leave.ptr + 1, end, lease.stop);
  // One that has run out is not given back: the rank was told to leave, or is about to be. Nobody may have looked since
  // it did: this process, or the whole machine, stood still.
  keep_lease();
  if (stop.ec == std::errc() && stop.ptr == end && lease.stop >= lease.leave && !fenced_) lease_ = lease;
}

void Supervisor::fence() {
  if (fenced_ || ended_ || lease_.leave == 0) return;
  fenced_ = true;
  // The agent says so where another rank of the node was fenced first: by the same clock, moments ago.
  const std::uint64_t now = lease_clock_ms(), patience = lease_.stop - lease_.leave;
  if (now < lease_.leave) lease_ = {now, now + patience};
  say("fenced");
}

void Supervisor::keep_lease() {
  if (lease_.leave == 0 || fence_killed_) return;
  const std::uint64_t now = lease_clock_ms();
  if (now >= lease_.leave) fence();
  if (fenced_ && !fence_term_sent_ && now >= std::midpoint(lease_.leave, lease_.stop)) {
    fence_term_sent_ = true;
    obey(fmt::format("signal {}", SIGTERM));
  }
  // Also what a rank has left behind that has ended before.
  if (now < lease_.stop) return;
  fence_killed_ = true;
  obey("kill");
}

void Supervisor::end_clean() {
  for (int i = 0; i < 1024 && rank_.output; ++i) read_output();
  clear_shared_files();
  if (output_ms_ != 0) say(fmt::format("output {} {}", log_.end(), output_ms_));
  say("clean");
  over_ = true;
}

}  // namespace

int run_rank(const std::string& folder, const std::string& number) {
  const auto text = read_file(folder + "/rank-" + number + ".start", kStartBytesMax);
  RankStart start;
  if (!text || !start.ParseFromString(*text)) {
    fmt::print(stderr, "ffrank: {}/rank-{}.start: cannot be read\n", folder, number);
    return 1;
  }
  return Supervisor(folder, number, std::move(start)).run();
}

}  // namespace ff::ctl
