#include "ffctl/cluster/child.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <optional>
#include <string_view>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/pipe.hpp"

namespace ff::ctl {

namespace {

constexpr int kPollMs = 20;

struct Running {
  std::size_t index = 0;
  pid_t pid = -1;
  UniqueFd out, err;
  Deadline deadline;
  ChildResult result;
  bool killed = false;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// In the child: only calls that are safe after fork().
[[noreturn]] void become(char* const* words, char* const* environment, int in, int out, int err, int report,
                         pid_t parent) {
  int error = 0;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) {
    error = ECHILD;
  } else if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) {
    error = errno;
  } else {
    ::setpgid(0, 0);
    ::execvpe(words[0], words, environment);
    error = errno;
  }
  (void)!::write(report, &error, sizeof(error));
  ::_exit(127);
}

Result<Running> start(const ChildCommand& command, std::size_t index) {
  FF_TRY_ASSIGN(const UniqueFd in, text_file(command.input));
  FF_TRY_ASSIGN(Pipe out, make_pipe());
  FF_TRY_ASSIGN(Pipe err, make_pipe());
  FF_TRY_ASSIGN(Pipe report, make_pipe());
  std::vector<std::string> words = command.words, environment = environment_with(command.environment);
  const std::vector<char*> argv = pointers(words), envp = pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error(command.name + ": fork"));
  if (pid == 0)
    become(argv.data(), envp.data(), in.get(), out.write.get(), err.write.get(), report.write.get(), parent);
  report.write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.read.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    ::waitpid(pid, nullptr, 0);
    return fail(errno_error(fmt::format("{}: {}", command.name, command.words.front()), error));
  }
  return Running{.index = index,
                 .pid = pid,
                 .out = std::move(out.read),
                 .err = std::move(err.read),
                 .deadline = Deadline::after(command.patience),
                 .result = {}};
}

// Appends what is there; false at the end.
bool drain(int fd, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t bytes = ::read(fd, buffer.data(), buffer.size());
  if (bytes < 0) return errno == EINTR;
  text.append(buffer.data(), std::min(static_cast<std::size_t>(bytes), kChildOutputMax - text.size()));
  return bytes > 0;
}

void read_what_is_there(std::vector<Running>& running) {
  std::vector<pollfd> waiting;
  for (const Running& one : running) {
    waiting.push_back({.fd = one.out ? one.out.get() : -1, .events = POLLIN, .revents = 0});
    waiting.push_back({.fd = one.err ? one.err.get() : -1, .events = POLLIN, .revents = 0});
  }
  // Short, because the end of a child that has closed both shows only in waitpid().
  if (::poll(waiting.data(), waiting.size(), kPollMs) <= 0) return;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (waiting[2 * i].revents != 0 && !drain(running[i].out.get(), running[i].result.output)) running[i].out.reset();
    if (waiting[2 * i + 1].revents != 0 && !drain(running[i].err.get(), running[i].result.errors))
      running[i].err.reset();
  }
}

// Whether it is over. What it has started and left behind with its output open is not waited for.
bool ended(Running& one) {
  int status = 0;
  const pid_t got = ::waitpid(one.pid, &status, WNOHANG);
  if (got == 0) {
    if (one.deadline.expired() && !one.killed) {
      // With all that it has started: it leads a group.
      ::kill(-one.pid, SIGKILL);
      ::kill(one.pid, SIGKILL);
      one.killed = true;
    }
    return false;
  }
  one.result.code = got < 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  for (UniqueFd* fd : {&one.out, &one.err}) {
    if (!*fd) continue;
    ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
    std::string& text = fd == &one.out ? one.result.output : one.result.errors;
    while (drain(fd->get(), text)) {
    }
  }
  return true;
}

}  // namespace

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& over) {
  std::map<std::string, std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) all[std::string(text.substr(0, equals))] = text.substr(equals + 1);
  }
  for (const auto& [key, value] : over) all[key] = value;
  std::vector<std::string> out;
  for (const auto& [key, value] : all) out.push_back(key + "=" + value);
  return out;
}

std::vector<Result<ChildResult>> run_children(const std::vector<ChildCommand>& commands, std::size_t at_once) {
  std::vector<std::optional<Result<ChildResult>>> done(commands.size());
  std::vector<Running> running;
  std::size_t next = 0;
  while (next < commands.size() || !running.empty()) {
    while (next < commands.size() && running.size() < std::max<std::size_t>(at_once, 1)) {
      auto started = start(commands[next], next);
      if (started)
        running.push_back(*std::move(started));
      else
        done[next] = fail(std::move(started).error());
      ++next;
    }
    read_what_is_there(running);
    std::erase_if(running, [&](Running& one) {
      if (!ended(one)) return false;
      const ChildCommand& command = commands[one.index];
      if (one.killed)
        done[one.index] =
            fail(Errc::kTimeout, fmt::format("{}: did not end within {} ms", command.name, command.patience.count()));
      else
        done[one.index] = std::move(one.result);
      return true;
    });
  }
  std::vector<Result<ChildResult>> out;
  for (auto& one : done) out.push_back(*std::move(one));
  return out;
}

Result<ChildResult> run_child(const ChildCommand& command) { return std::move(run_children({command}, 1).front()); }

std::string last_line(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find_last_not_of(" \t\r\n");
    if (end == std::string_view::npos) break;
    rest = rest.substr(0, end + 1);
    const std::size_t line = rest.rfind('\n');
    return std::string(line == std::string_view::npos ? rest : rest.substr(line + 1));
  }
  return "";
}

}  // namespace ff::ctl
