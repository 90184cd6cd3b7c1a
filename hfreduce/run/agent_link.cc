#include "hfreduce/run/agent_link.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "hfreduce/run/agent.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::hfreduce::run {
namespace {

constexpr auto kReapWait = std::chrono::seconds(5);

// So that a path with any characters survives the remote shell.
std::string shell_quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

AgentLink::AgentLink(Block block, Child process, UniqueFd from, UniqueFd to, bool remote)
    : block_(std::move(block)),
      process_(std::move(process)),
      from_(std::move(from)),
      to_(std::move(to)),
      remote_(remote) {
  set_nonblocking(from_.get());
  set_nonblocking(to_.get());
}

Result<AgentLink> AgentLink::local(Block block) {
  FF_TRY_ASSIGN(FdPair pair, make_socket_pair());
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork"));
  if (pid == 0) {
    // Not told to die with the launcher: it sees the end of its socket instead, and still kills what its ranks started.
    ::setpgid(0, 0);
    reset_signals();
    // Descriptors of the other links must not live on here, or those agents would not see their launcher's end.
    const int fd = ::dup2(pair.second.get(), 3);
    ::close_range(4, ~0u, 0);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::_exit(serve_agent(fd, fd));
  }
  ::setpgid(pid, pid);
  UniqueFd to(::fcntl(pair.first.get(), F_DUPFD_CLOEXEC, 3));
  if (!to) return fail(errno_error("duplicate a socket"));
  Child child{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  return AgentLink(std::move(block), std::move(child), std::move(pair.first), std::move(to), false);
}

Result<AgentLink> AgentLink::remote(Block block, const std::vector<std::string>& ssh, const std::string& remote_path) {
  FF_TRY_ASSIGN(FdPair in, make_pipe());
  FF_TRY_ASSIGN(FdPair out, make_pipe());
  SpawnSpec spec{.command = ssh, .env = merged_environment({})};
  spec.command.push_back(block.host);
  spec.command.push_back(shell_quoted(remote_path) + " agent");
  spec.stdin_fd = in.first.get();
  spec.stdout_fd = out.second.get();
  FF_TRY_ASSIGN(Child child, spawn(spec));
  return AgentLink(std::move(block), std::move(child), std::move(out.first), std::move(in.second), true);
}

AgentLink AgentLink::adopt(Block block, UniqueFd socket) {
  UniqueFd to(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3));
  return AgentLink(std::move(block), Child{}, std::move(socket), std::move(to), false);
}

void AgentLink::end(std::span<AgentLink> links) {
  for (AgentLink& link : links) {
    link.from_.reset();
    link.to_.reset();
  }
  const Deadline deadline = Deadline::after(kReapWait);
  for (AgentLink& link : links) {
    Child& process = link.process_;
    if (process.pid <= 0 || !process.pidfd) continue;  // adopted, moved from, or ended before
    pollfd ended{process.pidfd.get(), POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&ended, 1, deadline.poll_timeout_ms(60'000))) < 0 && errno == EINTR) {
    }
    if (ready == 0) ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    process = Child{};
  }
}

void AgentLink::lose(std::string reason) {
  if (over()) return;
  state_ = State::kLost;
  lost_reason_ = std::move(reason);
}

void AgentLink::write_some() {
  const ssize_t n = ::write(to_.get(), pending_.data(), pending_.size());
  if (n > 0) pending_.erase(0, static_cast<std::size_t>(n));
  if (n < 0 && errno != EAGAIN && errno != EINTR) {
    // What it said before it went is still to be read; the end of file there tells of the loss.
    pending_.clear();
    to_.reset();
  }
}

std::vector<Message> AgentLink::read_some() {
  std::vector<Message> messages;
  char block[65536];
  const ssize_t n = ::read(from_.get(), block, sizeof block);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return messages;
  if (n <= 0) {
    lose(state_ == State::kConnecting && remote_ ? "the connection closed before the agent answered (does the same "
                                                   "hfreduce exist there? see --remote-path)"
                                                 : "the agent is gone");
    from_.reset();
    return messages;
  }
  reader_.feed({block, static_cast<std::size_t>(n)});
  for (;;) {
    auto message = reader_.next();
    if (!message) {
      lose(fmt::format("unexpected text from the agent ({}); a login script that prints?", message.error().message()));
      from_.reset();
      return messages;
    }
    if (!*message) return messages;
    messages.push_back(std::move(**message));
  }
}

}  // namespace ff::hfreduce::run
