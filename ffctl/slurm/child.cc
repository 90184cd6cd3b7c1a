#include "ffctl/slurm/child.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/base/pipe.hpp"

namespace ff::ctl {
namespace {

constexpr int kReapMs = 20;

// A socket: a program that ends early must not end its caller, which writes to it, by SIGPIPE.
Result<Pipe> make_input() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return fail(errno_error("socketpair"));
  return Pipe{.read = UniqueFd(fds[0]), .write = UniqueFd(fds[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

Result<pid_t> spawn(const ChildStart& start, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  const Defer destroy([&] {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  });
  // The caller blocks signals that its reactor reads.
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t usual;
  sigemptyset(&usual);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM}) sigaddset(&usual, number);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> argv = pointers(start.words), envp = pointers(start.environment);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), envp.data());
  if (error == ENOENT)
    return fail(Errc::kNotFound, fmt::format("{}: there is no such program here", start.words.front()));
  if (error != 0) return fail(errno_error(start.words.front(), error));
  return pid;
}

// What is written to and read from the program while it lives.
class Talk {
 public:
  Talk(const ChildStart& start, ChildEnd& end, UniqueFd in, UniqueFd out, UniqueFd err)
      : start_(start), end_(end), fds_{std::move(in), std::move(out), std::move(err)} {
    ::fcntl(fds_[0].get(), F_SETFL, O_NONBLOCK);
    if (start_.input.empty()) fds_[0].reset();
  }

  // False: the deadline came first.
  bool run(const Deadline& until) {
    while (fds_[1] || fds_[2]) {
      std::array<pollfd, 3> polled{};
      for (std::size_t i = 0; i < fds_.size(); ++i)
        polled[i] = {fds_[i] ? fds_[i].get() : -1, static_cast<short>(i == 0 ? POLLOUT : POLLIN), 0};
      const int ready = ::poll(polled.data(), polled.size(), until.poll_timeout_ms(60'000));
      if (ready < 0 && errno != EINTR) return false;
      if (ready <= 0 && until.expired()) return false;
      if (ready <= 0) continue;
      if (polled[0].revents != 0) write();
      if (polled[1].revents != 0) read(fds_[1], end_.output);
      if (polled[2].revents != 0) read(fds_[2], end_.errors);
    }
    return true;
  }

 private:
  void write() {
    const std::string_view left = std::string_view(start_.input).substr(written_);
    const ssize_t done = ::send(fds_[0].get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (done < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (done > 0) written_ += static_cast<std::size_t>(done);
    // One that does not want it says so by its exit code.
    if (done < 0 || written_ == start_.input.size()) fds_[0].reset();
  }
  void read(UniqueFd& fd, std::string& into) {
    const ssize_t got = ::read(fd.get(), block_.data(), block_.size());
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) {
      fd.reset();
    } else if (into.size() + static_cast<std::size_t>(got) <= start_.output_max) {
      into.append(block_.data(), static_cast<std::size_t>(got));
    } else {
      end_.cut = true;
    }
  }

  const ChildStart& start_;
  ChildEnd& end_;
  std::array<UniqueFd, 3> fds_;
  std::size_t written_ = 0;
  std::array<char, 65536> block_;
};

// False: it still runs at the deadline.
bool reap(pid_t pid, const Deadline& until, int& status) {
  for (;;) {
    const pid_t done = ::waitpid(pid, &status, WNOHANG);
    if (done == pid || (done < 0 && errno != EINTR)) return true;
    if (until.expired()) return false;
    ::poll(nullptr, 0, until.poll_timeout_ms(kReapMs));
  }
}

}  // namespace

Result<ChildEnd> run_child(const ChildStart& start) {
  FF_TRY_ASSIGN(Pipe in, make_input());
  FF_TRY_ASSIGN(Pipe out, make_pipe());
  FF_TRY_ASSIGN(Pipe err, make_pipe());
  const Deadline until = Deadline::after(start.deadline);
  FF_TRY_ASSIGN(const pid_t pid, spawn(start, in.read.get(), out.write.get(), err.write.get()));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  ChildEnd end;
  Talk talk(start, end, std::move(in.write), std::move(out.read), std::move(err.read));
  int status = 0;
  if (!talk.run(until) || !reap(pid, until, status)) {
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return fail(Errc::kTimeout, fmt::format("{}: has not ended in {} ms", start.words.front(), start.deadline.count()));
  }
  end.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

}  // namespace ff::ctl
